import { Hono } from "hono"
import { accepts } from "hono/accepts"
import { lookup, type Tree } from "./lookup.ts"
import { renderJson, renderText } from "./render.ts"

/** Who asks, and what they may see. */
export interface MetadataModel {
  /**
   * The tree below `/latest` as the asker at this source address sees it, or undefined when the
   * address belongs neither to a managed network nor to this host.
   */
  treeFor(address: string): Tree | undefined
}

/** What the server hands to the app with each request. */
export interface MetadataBindings {
  readonly remoteAddress: string
}

const JSON_TYPE = "application/json"
const TEXT_TYPE = "text/plain"
/** HTTP/1.0 has no Host header, and a request then no whole URL. */
const SOME_HOST = "http://localhost"
const VERSIONS: Tree = { latest: "/latest" }

/**
 * The metadata API. It answers GET and HEAD; who asks is decided by the source address alone,
 * which the firewall makes true. Asking from outside the networks gets 403 and nothing else.
 */
export function metadataApp(model: MetadataModel): Hono<{ Bindings: MetadataBindings }> {
  const app = new Hono<{ Bindings: MetadataBindings }>({ strict: false })
  app.use(async (context, next) => {
    await next()
    context.header("Access-Control-Allow-Origin", "*")
  })
  app.get("*", (context) => {
    const json = accepts(context, acceptOptions) === JSON_TYPE
    const tree = model.treeFor(context.env.remoteAddress)
    if (tree === undefined) return failure(403, "Forbidden", json)
    const path = segments(new URL(context.req.url, SOME_HOST).pathname)
    if (path === undefined) return failure(400, "Bad request", json)
    const [version, ...rest] = path
    if (version === undefined) return success(VERSIONS, json)
    if (version !== "latest") return failure(404, "Invalid version", json)
    const found = lookup(tree, rest)
    return found === undefined ? failure(404, "Not found", json) : success(found, json)
  })
  return app
}

const acceptOptions: Parameters<typeof accepts>[1] = {
  header: "Accept",
  supports: [TEXT_TYPE, JSON_TYPE],
  default: TEXT_TYPE,
}

/** Segments of a path, query-unescaped; undefined when an escape is broken. */
function segments(pathname: string): string[] | undefined {
  try {
    return pathname
      .split("/")
      .filter((part) => part !== "")
      .map((part) => decodeURIComponent(part.replaceAll("+", " ")))
  } catch {
    return undefined
  }
}

function success(value: Tree, json: boolean): Response {
  return new Response(json ? renderJson(value) : renderText(value), {
    headers: { "Content-Type": "text/plain; charset=utf-8" },
  })
}

function failure(code: number, message: string, json: boolean): Response {
  const body = json ? renderJson({ code, message, type: "error" }) : message
  return new Response(`${body}\n`, {
    status: code,
    headers: { "Content-Type": "text/plain; charset=utf-8" },
  })
}

import { Hono } from "hono"
import { type Answer, Answers, type AnswersOptions, failure } from "./answers.ts"
import { LongPoll, type Schedule } from "./long_poll.ts"
import { formatFor, wantsHtml } from "./negotiation.ts"
import { openApi } from "./openapi.ts"
import { PAGE } from "./page.ts"

/** What the server hands to the app with each request. */
export interface MetadataBindings {
  readonly remoteAddress: string
}

/** What the API works with. */
export interface MetadataOptions extends AnswersOptions {
  /** Whether a source address is of a managed network or of this host. */
  readonly mayAsk: (address: string) => boolean
  readonly schedule: Schedule
}

/** The API, and what is to be known of it. */
export interface MetadataApi {
  /** Answers one request. */
  fetch(request: Request, remoteAddress: string): Response | Promise<Response>
  /** How many requests wait for a change. */
  readonly waiting: number
}

/** How long a waiting request is held when it does not say, and at most, seconds. */
const DEFAULT_WAIT_S = 60
const MAX_WAIT_S = 120
/** HTTP/1.0 has no Host header, and a request then no whole URL. */
const SOME_HOST = "http://localhost"
/** A path beyond this is no key of anything. */
const MAX_PATH = 8192

/**
 * The metadata API. It answers GET and HEAD; who asks is decided by the source address alone,
 * which the firewall makes true. Asking from outside the networks gets 403 and nothing else.
 */
export function metadataApi(options: MetadataOptions): MetadataApi {
  const { model, mayAsk, schedule } = options
  const answers = new Answers(options)
  const poll = new LongPoll<Answer>(schedule)
  model.subscribe(() => poll.changed())
  const app = metadataApp(answers, poll, mayAsk)
  return {
    get waiting() {
      return poll.waiting
    },
    fetch(request, remoteAddress) {
      // The common question, answered without a router: a path of the tree, nothing else.
      const path = simplePath(request)
      if (path === undefined || !mayAsk(remoteAddress)) {
        return app.fetch(request, { remoteAddress })
      }
      const format = formatFor(request.headers.get("accept"))
      const answer = answers.answer({ path, format, from: remoteAddress })
      return respond(answer, request)
    },
  }
}

function metadataApp(
  answers: Answers,
  poll: LongPoll<Answer>,
  mayAsk: (address: string) => boolean,
): Hono<{ Bindings: MetadataBindings }> {
  const app = new Hono<{ Bindings: MetadataBindings }>()
  app.use(async ({ env, req }, next) => {
    if (mayAsk(env.remoteAddress)) return await next()
    return respond(failure(403, "Forbidden", formatFor(req.header("Accept"))), req.raw)
  })
  app.on(["GET", "HEAD"], "/favicon.ico", () => noPage())
  app.on(["GET", "HEAD"], "/openapi.json", ({ req }) => {
    return respond(document(JSON.stringify(openApi()), "application/json"), req.raw)
  })
  app.on(["GET", "HEAD"], "*", async ({ env, req }): Promise<Response> => {
    const url = new URL(req.raw.url, SOME_HOST)
    const path = rawPath(req.raw.url)
    if (path.length > MAX_PATH) return respond(failure(414, "URI Too Long", "text"), req.raw)
    const clean = cleanPath(path)
    if (clean !== path) return redirect(`${clean}${url.search}`)
    if (path === "/" && wantsHtml(req.header("Accept"))) {
      return respond(document(PAGE, "text/html; charset=utf-8"), req.raw)
    }
    const format = formatFor(req.header("Accept"))
    const question = { path, format, from: env.remoteAddress }
    const known = url.searchParams.get("value")
    if (url.searchParams.get("wait") !== "true" || known === null) {
      return respond(answers.answer(question), req.raw)
    }
    const look = () => ({ text: answers.known(question), answer: answers.answer(question) })
    const ms = waitMs(url.searchParams.get("maxWait"))
    const { signal } = req.raw
    const key = answers.key(question)
    return respond(await poll.wait({ key, look, known, ms, signal }), req.raw)
  })
  app.notFound(() => noPage())
  return app
}

/** The path of a request that needs no more than a look-up; undefined for all others. */
function simplePath({ method, url }: Request): string | undefined {
  if (method !== "GET" || url.includes("?") || url.length > MAX_PATH) return undefined
  const path = rawPath(url)
  // The page, the description, and paths that are to be cleaned.
  if (path.length < 2 || !/^[0-9l]/.test(path.slice(1, 2)) || /\/[./]/.test(path)) return undefined
  return path
}

/** The path as it came: `new URL` would resolve its dots. */
function rawPath(url: string): string {
  const begin = url.startsWith("/") ? 0 : url.indexOf("/", url.indexOf("://") + 3)
  if (begin < 0) return "/"
  const end = url.indexOf("?", begin)
  return end < 0 ? url.slice(begin) : url.slice(begin, end)
}

/** A path without empty segments and dots, as Go's path.Clean makes it; its last slash stays. */
function cleanPath(path: string): string {
  const kept: string[] = []
  for (const segment of path.split("/")) {
    if (segment === "..") kept.pop()
    else if (segment !== "" && segment !== ".") kept.push(segment)
  }
  const slash = kept.length > 0 && path.endsWith("/") ? "/" : ""
  return `/${kept.join("/")}${slash}`
}

function waitMs(text: string | null): number {
  const seconds = text === null || !/^\d{1,9}$/.test(text) ? DEFAULT_WAIT_S : Number(text)
  return Math.min(seconds, MAX_WAIT_S) * 1000
}

function document(body: string, type: string): Answer {
  return {
    status: 200,
    body,
    headers: { "Content-Type": type, "X-Content-Type-Options": "nosniff" },
  }
}

function respond({ status, body, headers }: Answer, request: Request): Response {
  const { ETag: tag } = headers
  if (tag !== undefined && request.headers.get("if-none-match") === tag) {
    return new Response(null, { status: 304, headers })
  }
  if (request.method !== "HEAD") return new Response(body, { status, headers })
  const length = String(new TextEncoder().encode(body).length)
  return new Response(null, { status, headers: { ...headers, "Content-Length": length } })
}

function redirect(location: string): Response {
  return new Response(null, { status: 301, headers: { Location: location } })
}

/** What a router says that knows no such path or method. */
function noPage(): Response {
  return new Response("404 page not found\n", {
    status: 404,
    headers: {
      "Content-Type": "text/plain; charset=utf-8",
      "X-Content-Type-Options": "nosniff",
    },
  })
}

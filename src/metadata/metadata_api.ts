import { type Context, Hono, type MiddlewareHandler } from "hono"
import { etag } from "hono/etag"
import { type Answer, failure, PLAIN, respond, SAFE } from "./answer.ts"
import { Answers, type AnswersOptions, type Question } from "./answers.ts"
import { FairTurns, type TurnsOptions } from "./fair_turns.ts"
import { isOwnHost } from "./host_name.ts"
import { LongPoll, type LongPollOptions } from "./long_poll.ts"
import { formatFor, wantsHtml } from "./negotiation.ts"
import { openApi } from "./openapi.ts"
import { PAGE, PAGE_POLICY } from "./page.ts"
import { Sending } from "./sending.ts"
import { cleanPath, targetOf } from "./target.ts"

/** Who asks. */
export interface Client {
  readonly address: string
  /** Fires when the client has gone. */
  readonly gone: AbortSignal
}

/** What the API works with. */
export interface MetadataOptions extends AnswersOptions, TurnsOptions {
  /** Whether a source address is of a managed network or of this host. */
  readonly mayAsk: (address: string) => boolean
  /** How many requests may wait for a change. */
  readonly waiting?: LongPollOptions | undefined
}

interface Env {
  readonly Bindings: Client
  /** A long body that is still to be sent. */
  readonly Variables: { long?: Uint8Array | undefined }
}

/** What its server has to allow: questions are short, and have no body. */
export const QUESTIONS = { idleSeconds: 75, maxBodyBytes: 64 * 1024 }

/** How long a waiting request is held when it does not say, and at most, seconds. */
const DEFAULT_WAIT_S = 60
const MAX_WAIT_S = 120
/** What a request that waits holds beside its head, bytes. */
const HELD_BYTES = 2048
/** Longer paths name nothing. */
const MAX_PATH = 8192
/** Headers of an answer that 304 repeats. */
const RETAINED = ["ETag", "Access-Control-Allow-Origin", ...Object.keys(SAFE)]
const MISSING = { ...SAFE, "Content-Type": PLAIN }

/**
 * The metadata API, a Hono app. It answers GET and HEAD; who asks is decided by the source address
 * alone, which the firewall makes true. Asking from outside the networks, or by a name that is not
 * ours, gets 403 and nothing else.
 */
export class MetadataApi {
  readonly #answers: Answers
  readonly #turns: FairTurns
  readonly #poll: LongPoll<"over">
  readonly #sending: Sending
  readonly #mayAsk: (address: string) => boolean
  readonly #app: Hono<Env>

  constructor(options: MetadataOptions) {
    this.#answers = new Answers(options)
    this.#turns = new FairTurns(options)
    this.#poll = new LongPoll(options.schedule, {
      ...options.waiting,
      // Who has too much in work keeps nobody from hearing of what both wait for.
      look: (source, steps) => void (this.#turns.run(source, steps) ?? this.#turns.run("", steps)),
    })
    this.#sending = new Sending(this.#turns, options.schedule)
    this.#mayAsk = options.mayAsk
    this.#app = this.#routes()
    options.model.subscribe(() => this.#poll.changed())
  }

  /** How many requests wait for a change. */
  get waiting(): number {
    return this.#poll.waiting
  }

  /** Answers a request. What is short and asked again and again does not go through the router. */
  readonly fetch = (request: Request, client: Client): Response | Promise<Response> => {
    const kept = this.#kept(request, client.address)
    return typeof kept?.body === "string" ? respond(kept) : this.#app.fetch(request, client)
  }

  #kept({ method, url, headers }: Request, from: string): Answer | undefined {
    const { path, query } = targetOf(url)
    // At the root browsers get the page.
    if (method !== "GET" || path === "/" || query !== "") return undefined
    if (headers.has("if-none-match") || !this.#isHeard(headers.get("host"), from)) return undefined
    return this.#answers.kept({ path, format: formatFor(headers.get("accept")), from })
  }

  /** Whether it is asked by one of ours, and by a name of ours. */
  #isHeard(host: string | null, from: string): boolean {
    return this.#mayAsk(from) && isOwnHost(host)
  }

  #routes(): Hono<Env> {
    const app = new Hono<Env>({ getPath: ({ url }) => targetOf(url).path })
    app.use(this.#long, measured, this.#guard, tidy, etag({ retainedHeaders: RETAINED }))
    app.get("/", async (context, next) =>
      wantsHtml(context.req.header("accept")) ? page(context) : await next(),
    )
    app.get("/openapi.json", (context) => context.json(openApi(), 200, SAFE))
    // Browsers ask for it.
    app.get("/favicon.ico", (context) => context.notFound())
    app.get("*", this.#wait, this.#answer)
    app.notFound((context) => context.body("404 page not found\n", 404, MISSING))
    // The server logs it and answers 500, as for anything else that is thrown.
    app.onError((error) => {
      throw error
    })
    return app
  }

  readonly #guard: MiddlewareHandler<Env> = async (context, next) => {
    if (this.#isHeard(context.req.raw.headers.get("host"), context.env.address)) return await next()
    return respond(failure(403, "Forbidden", questionOf(context).format))
  }

  /** Holds a request that says which value it knows until there is another. */
  readonly #wait: MiddlewareHandler<Env> = async (context, next) => {
    const { wait, value, maxWait } = context.req.query()
    if (wait !== "true" || value === undefined) return await next()
    const answers = this.#answers
    const question = questionOf(context)
    const over = await this.#poll.wait({
      key: answers.key(question),
      watched: { text: () => answers.known(question), answer: () => "over" },
      known: value,
      ms: waitMs(maxWait),
      source: question.from,
      size: sizeOf(context.req.raw),
      signal: context.env.gone,
    })
    return over === undefined ? respond(tooMany(question)) : await next()
  }

  readonly #answer = async (context: Context<Env>): Promise<Response> => {
    const question = questionOf(context)
    // Of thousands that waited for the same, the first makes it.
    const kept = this.#answers.kept(question)
    if (typeof kept?.body === "string") return respond(kept)
    const made = await this.#turns.run(question.from, this.#answers.answer(question))
    const answer = made ?? tooMany(question)
    if (typeof answer.body !== "string") context.set("long", answer.body)
    return respond(answer)
  }

  /** Sends a long body as its client reads it, where it is to be sent at all. */
  readonly #long: MiddlewareHandler<Env> = async (context, next) => {
    await next()
    const { res, req, env } = context
    const body = context.get("long")
    if (body === undefined || res.status !== 200) return
    if (req.method === "HEAD") return res.headers.set("Content-Length", `${body.length}`)
    const stream = this.#sending.stream(env.address, body)
    // Hono would add the headers of the one before.
    context.res = undefined
    context.res =
      stream === undefined ? respond(tooMany(questionOf(context))) : new Response(stream, res)
  }
}

/** An error makes existing clients rest; an answer at once would make them ask in a circle. */
function tooMany({ format }: Question): Answer {
  return failure(503, "Too many wait", format)
}

/** HEAD has the length of the answer that Hono leaves out. */
const measured: MiddlewareHandler<Env> = async (context, next) => {
  await next()
  const { status, headers } = context.res
  if (context.req.method !== "HEAD" || status === 304) return
  headers.set("Content-Length", `${(await context.res.clone().arrayBuffer()).byteLength}`)
}

/** Refuses endless paths, and leads to the one way to write a path. */
const tidy: MiddlewareHandler<Env> = async (context, next) => {
  const { path, query } = targetOf(context.req.url)
  if (path.length > MAX_PATH) return respond(failure(414, "URI Too Long", "text"))
  const clean = cleanPath(path)
  if (clean === path) return await next()
  // A header is ASCII; escapes that are there stay as they are.
  const location = clean.replace(/[^\x21-\x7e]+/g, encodeURIComponent)
  return context.redirect(query === "?" ? location : location + query, 301)
}

function page(context: Context<Env>): Response {
  return context.body(PAGE, 200, {
    ...SAFE,
    "Content-Type": "text/html; charset=utf-8",
    "Content-Security-Policy": PAGE_POLICY,
    "Referrer-Policy": "no-referrer",
  })
}

function questionOf({ req, env }: Context<Env>): Question {
  return { path: req.path, format: formatFor(req.header("accept")), from: env.address }
}

/** What a request that waits holds: its head, and what was read of it. */
function sizeOf({ url, headers }: Request): number {
  let size = HELD_BYTES + 2 * url.length
  for (const [name, value] of headers) size += name.length + value.length
  return size
}

function waitMs(text: string | undefined): number {
  const seconds = text === undefined || !/^\d{1,9}$/.test(text) ? DEFAULT_WAIT_S : Number(text)
  return Math.min(seconds, MAX_WAIT_S) * 1000
}

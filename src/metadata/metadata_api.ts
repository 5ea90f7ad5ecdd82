import { type Answer, failure } from "./answer.ts"
import { Answers, type AnswersOptions, type Question } from "./answers.ts"
import { LongPoll, type LongPollOptions, type Schedule } from "./long_poll.ts"
import { formatFor, wantsHtml } from "./negotiation.ts"
import { pages } from "./pages.ts"
import { cleanPath, splitTarget } from "./target.ts"

/** A request, whatever server it came through. */
export interface ApiRequest {
  readonly method: string
  /** Path and query as they came. */
  readonly target: string
  /** @param name in lower case */
  header(name: string): string | undefined
  /** Fires when the client has gone. */
  readonly signal: AbortSignal
}

/** What the API works with. */
export interface MetadataOptions extends AnswersOptions {
  /** Whether a source address is of a managed network or of this host. */
  readonly mayAsk: (address: string) => boolean
  readonly schedule: Schedule
  /** How many requests may wait for a change. */
  readonly waiting?: LongPollOptions | undefined
}

/** How long a waiting request is held when it does not say, and at most, seconds. */
const DEFAULT_WAIT_S = 60
const MAX_WAIT_S = 120
/** A path beyond this is no key of anything. */
const MAX_PATH = 8192

/**
 * The metadata API. It answers GET and HEAD; who asks is decided by the source address alone, which
 * the firewall makes true. Asking from outside the networks gets 403 and nothing else.
 */
export class MetadataApi {
  readonly #answers: Answers
  readonly #poll: LongPoll<Answer>
  readonly #mayAsk: (address: string) => boolean
  readonly #pages = pages()

  constructor(options: MetadataOptions) {
    this.#answers = new Answers(options)
    this.#poll = new LongPoll(options.schedule, options.waiting)
    this.#mayAsk = options.mayAsk
    options.model.subscribe(() => this.#poll.changed())
  }

  /** How many requests wait for a change. */
  get waiting(): number {
    return this.#poll.waiting
  }

  /**
   * Answers a request.
   *
   * @param from the source address
   */
  answer(request: ApiRequest, from: string): Answer | Promise<Answer> {
    const format = formatFor(request.header("accept"))
    if (!this.#mayAsk(from)) return failure(403, "Forbidden", format)
    const { path, query } = splitTarget(request.target)
    if (path.length > MAX_PATH) return failure(414, "URI Too Long", "text")
    const clean = cleanPath(path)
    if (clean !== path) return redirect(query === "" ? clean : `${clean}?${query}`)
    const browsed = path === "/" && wantsHtml(request.header("accept"))
    if ((request.method !== "GET" && request.method !== "HEAD") || browsed || isPage(path)) {
      return this.#page(request, browsed ? "/page" : path)
    }
    const question = { path, format, from }
    const answer =
      query === "" ? this.#answers.answer(question) : this.#wait(question, query, request)
    if (request.header("if-none-match") === undefined) return answer
    return answer instanceof Promise
      ? answer.then((late) => unlessKnown(late, request))
      : unlessKnown(answer, request)
  }

  #wait(question: Question, query: string, { signal }: ApiRequest): Answer | Promise<Answer> {
    const answers = this.#answers
    const wishes = new URLSearchParams(query)
    const known = wishes.get("value")
    if (wishes.get("wait") !== "true" || known === null) return answers.answer(question)
    const answer = this.#poll.wait({
      key: answers.key(question),
      watched: { text: () => answers.known(question), answer: () => answers.answer(question) },
      known,
      ms: waitMs(wishes.get("maxWait")),
      source: question.from,
      signal,
    })
    // An error makes existing clients rest; an answer at once would make them ask in a circle.
    return answer ?? failure(503, "Too many wait", question.format)
  }

  async #page({ method }: ApiRequest, path: string): Promise<Answer> {
    // HEAD as GET: the server leaves the body out, and needs its length. All others are one to the
    // router, and not all of them can be said to it: a Request with CONNECT throws.
    const read = method === "GET" || method === "HEAD"
    const response = await this.#pages.request(path, { method: read ? "GET" : "POST" })
    const headers = Object.fromEntries(response.headers)
    return { status: response.status, headers, body: await response.text() }
  }
}

/** Paths of the router that are no part of the tree. */
function isPage(path: string): boolean {
  return path === "/favicon.ico" || path === "/openapi.json"
}

function waitMs(text: string | null): number {
  const seconds = text === null || !/^\d{1,9}$/.test(text) ? DEFAULT_WAIT_S : Number(text)
  return Math.min(seconds, MAX_WAIT_S) * 1000
}

/** The answer, or that it is what the client has (RFC 9110 §13.1.2). */
function unlessKnown(answer: Answer, request: ApiRequest): Answer {
  const { ETag: tag } = answer.headers
  const known = tag === undefined ? undefined : request.header("if-none-match")
  if (known === undefined || tag === undefined) return answer
  const same = known.split(",").some((one) => {
    const text = one.trim()
    return text === "*" || text === tag || text === `W/${tag}`
  })
  return same ? { ...answer, status: 304, body: "" } : answer
}

function redirect(location: string): Answer {
  // A header is ASCII; escapes that are there stay as they are.
  const Location = location.replace(/[^\x21-\x7e]+/g, encodeURIComponent)
  return { status: 301, headers: { Location }, body: "" }
}

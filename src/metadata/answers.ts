import { type Answer, failure, success } from "./answer.ts"
import { API_VERSIONS, type ApiVersion, isApiVersion } from "./api_version.ts"
import type { Steps } from "./fair_turns.ts"
import { KeptAnswers } from "./kept_answers.ts"
import { type Found, isMap, lookup, type Tree } from "./lookup.ts"
import type { Model } from "./model.ts"
import type { ContainerRecord } from "./records.ts"
import { type Format, goText, renderParts } from "./render.ts"
import { VersionTree } from "./version_tree.ts"

/** One question. */
export interface Question {
  /** Path as it came, without the query. */
  readonly path: string
  readonly format: Format
  /** The source address. */
  readonly from: string
}

/** What the answers are made from. */
export interface AnswersOptions {
  readonly model: Model
  /** Makes the text of `/version` after each change: another one each time. */
  readonly newVersion: () => string
  /** The container that packets from an address come from. Default: the model's. */
  readonly askerAt?: ((address: string) => ContainerRecord | undefined) | undefined
}

interface Making {
  readonly steps: Steps<Answer>
  answer: Answer | undefined
}

/** What a question costs beside what is made for it: reading it, and its answer's way. Milliseconds. */
const QUESTION_MS = 0.05
/** A client names the value that it knows in a URL, which is never longer than this. */
const MAX_KNOWN_TEXT = 8192
/** Who asks, in the place of a uuid in keys: anybody, or somebody who is no container. */
const ANYBODY = "*"
const NOBODY = "-"

/**
 * The answers to all paths of the API. What was answered is kept until the model changes: the
 * second container that asks for the same costs nothing.
 */
export class Answers {
  readonly #model: Model
  readonly #newVersion: () => string
  readonly #askerAt: (address: string) => ContainerRecord | undefined
  readonly #trees = new Map<ApiVersion, VersionTree>()
  readonly #kept = new KeptAnswers()
  /** What is being made, by the keys of what is kept. */
  readonly #making = new Map<string, Making>()
  #modelVersion = -1
  #version = ""

  constructor({ model, newVersion, askerAt }: AnswersOptions) {
    this.#model = model
    this.#newVersion = newVersion
    this.#askerAt = askerAt ?? ((address) => model.containerAt(address))
  }

  /** The answer to a question that names the thing as it is kept, where it was given before. */
  kept({ path, format, from }: Question): Answer | undefined {
    this.#refresh()
    // What is the same for everybody is found without finding out who asks.
    const common = this.#kept.get(keyFor(ANYBODY, format, path))
    if (common !== undefined || !dependsOnAsker(path)) return common
    return this.#kept.get(keyFor(this.#askerAt(from)?.uuid ?? NOBODY, format, path))
  }

  /** Makes the answer to a question, a little at each step. */
  *answer({ path, format, from }: Question): Steps<Answer> {
    yield QUESTION_MS
    this.#refresh()
    const segments = segmentsOf(path)
    if (segments === undefined) return failure(400, "Bad request", format)
    const asker = this.#askerAt(from)
    const found = this.#find(segments, asker)
    if (found === undefined) return failure(404, "Not found", format)
    if (typeof found === "number") return failure(404, "Invalid version", format)
    const key = keyOf(found, asker, format)
    const kept = this.#kept.get(key)
    if (kept !== undefined) return kept
    // Whoever asks for what is being made helps to make it.
    let making = this.#making.get(key)
    if (making === undefined) {
      const parts = renderParts(found.value, format)
      making = { steps: success(parts, mayBeRead(found, format)), answer: undefined }
      this.#making.set(key, making)
    }
    while (making.answer === undefined) {
      const step = making.steps.next()
      if (step.done === true) making.answer = step.value
      else yield
    }
    if (this.#making.get(key) === making) {
      this.#making.delete(key)
      this.#kept.put(key, making.answer)
    }
    return making.answer
  }

  /** What makes two questions the same, now and after any change. */
  key({ path, from }: Question): string {
    const who = dependsOnAsker(path) ? (this.#askerAt(from)?.uuid ?? NOBODY) : ANYBODY
    return `${who} ${path}`
  }

  /**
   * The value that a question is about, in the words of a waiting client; cut where none can know
   * it. Undefined: there is none.
   */
  known(question: Question): string | undefined {
    this.#refresh()
    const path = segmentsOf(question.path)
    const found = path && this.#find(path, this.#askerAt(question.from))
    return found === undefined || typeof found === "number"
      ? undefined
      : goText(found.value, MAX_KNOWN_TEXT)
  }

  /** 404 where there is no such version. */
  #find(
    [version, ...rest]: readonly string[],
    asker: ContainerRecord | undefined,
  ): Found | 404 | undefined {
    if (version === undefined) return { value: VERSION_LIST, path: [] }
    if (!isApiVersion(version)) return 404
    const found = lookup(this.#tree(version).root(asker, this.#version), rest)
    return found && { value: found.value, path: [version, ...found.path] }
  }

  #tree(version: ApiVersion): VersionTree {
    let tree = this.#trees.get(version)
    if (tree === undefined) {
      tree = new VersionTree(this.#model, version)
      this.#trees.set(version, tree)
    }
    return tree
  }

  #refresh(): void {
    if (this.#modelVersion === this.#model.version) return
    this.#modelVersion = this.#model.version
    this.#version = this.#newVersion()
    this.#kept.clear()
    this.#making.clear()
  }
}

/** What the root says: in text the keys, in JSON where each leads. */
const VERSION_LIST: Tree = Object.fromEntries(
  API_VERSIONS.map((version) => [version, `/${version}`]),
)

/** Whether who asks may make a difference: below `self`, which may be escaped, and for whole versions. */
function dependsOnAsker(path: string): boolean {
  const [, , third = ""] = path.split("/", 3)
  return third === "self" || !/^[a-z_]+$/.test(third)
}

/** One key for one thing, however a question spells it. */
function keyOf({ path }: Found, asker: ContainerRecord | undefined, format: Format): string {
  const spelled = `/${path.map(encodeURIComponent).join("/")}`
  return keyFor(dependsOnAsker(spelled) ? (asker?.uuid ?? NOBODY) : ANYBODY, format, spelled)
}

function keyFor(who: string, format: Format, path: string): string {
  return `${format} ${who} ${path}`
}

const TOKEN_PATH = ["self", "service", "token"]

/**
 * Whether pages of any origin may read an answer: not where it has the token by which a service
 * speaks for itself elsewhere. As text a map shows its keys alone.
 */
function mayBeRead({ value, path }: Found, format: Format): boolean {
  if (path.length === 0 || (format === "text" && isMap(value))) return true
  return path.slice(1).some((segment, at) => segment !== TOKEN_PATH[at])
}

/** Segments of a path, query-unescaped; undefined when an escape is broken. */
function segmentsOf(path: string): string[] | undefined {
  try {
    return path
      .split("/")
      .filter((part) => part !== "")
      .map((part) => decodeURIComponent(part.replaceAll("+", " ")))
  } catch {
    return undefined
  }
}

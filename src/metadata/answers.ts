import { type Answer, failure, success } from "./answer.ts"
import { API_VERSIONS, type ApiVersion, isApiVersion } from "./api_version.ts"
import { KeptAnswers } from "./kept_answers.ts"
import { lookup, type Tree } from "./lookup.ts"
import type { Model } from "./model.ts"
import type { ContainerRecord } from "./records.ts"
import { type Format, goText, render } from "./render.ts"
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
  #modelVersion = -1
  #version = ""

  constructor({ model, newVersion, askerAt }: AnswersOptions) {
    this.#model = model
    this.#newVersion = newVersion
    this.#askerAt = askerAt ?? ((address) => model.containerAt(address))
  }

  /** The answer to a question. */
  answer(question: Question): Answer {
    return this.kept(question) ?? this.#make(question)
  }

  /** The answer to a question, where it was given before and is still the same. */
  kept(question: Question): Answer | undefined {
    this.#refresh()
    // What is the same for everybody is found without finding out who asks.
    const common = this.#kept.get(keyFor(ANYBODY, question))
    if (common !== undefined || !dependsOnAsker(question.path)) return common
    return this.#kept.get(this.key(question))
  }

  /** What makes two questions the same. */
  key(question: Question): string {
    if (!dependsOnAsker(question.path)) return keyFor(ANYBODY, question)
    return keyFor(this.#askerAt(question.from)?.uuid ?? NOBODY, question)
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

  #make(question: Question): Answer {
    const answer = this.#answerOf(question, this.#askerAt(question.from))
    // There is no end of paths that do not exist.
    if (answer.status === 200) this.#kept.put(this.key(question), answer)
    return answer
  }

  #answerOf({ path, format }: Question, asker: ContainerRecord | undefined): Answer {
    const segments = segmentsOf(path)
    if (segments === undefined) return failure(400, "Bad request", format)
    const found = this.#find(segments, asker)
    if (found === undefined) return failure(404, "Not found", format)
    if (typeof found === "number") return failure(404, "Invalid version", format)
    return success(render(found.value, format))
  }

  /** 404 where there is no such version. */
  #find(
    [version, ...rest]: readonly string[],
    asker: ContainerRecord | undefined,
  ): { readonly value: Tree } | 404 | undefined {
    if (version === undefined) return { value: VERSION_LIST }
    if (!isApiVersion(version)) return 404
    const value = lookup(this.#tree(version).root(asker, this.#version), rest)
    return value === undefined ? undefined : { value }
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
  }
}

/** What the root says: in text the keys, in JSON where each leads. */
const VERSION_LIST: Tree = Object.fromEntries(
  API_VERSIONS.map((version) => [version, `/${version}`]),
)

/** Whether who asks makes a difference: below `self`, and for whole versions. */
function dependsOnAsker(path: string): boolean {
  const [, , third] = path.split("/", 3)
  // What is escaped may be `self` too.
  return third === undefined || third === "" || /[%+]/.test(third) || third.toLowerCase() === "self"
}

function keyFor(who: string, { path, format }: Question): string {
  return `${format} ${who} ${path}`
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

/**
 * A parsed YAML file, turned into plain values a part at a time, with the position of each.
 *
 * The parts that nobody asks for (the other services of a Compose file) are never evaluated, so
 * nothing is said about them. {@link MAX_NODES} and {@link MAX_NESTING} are counted after aliases
 * are expanded, which is what stops a bomb of aliases.
 */

import {
  type Alias,
  isAlias,
  isMap,
  isNode,
  isScalar,
  isSeq,
  type LineCounter,
  type Node,
  type Pair,
  type Scalar,
  visit,
  type YAMLMap,
} from "yaml"
import { type Problem, type Report, type Step, showValue } from "../diagnostic.ts"
import type { Position } from "../network.ts"
import { type Environment, expand, type MaskedText, SYNTAX_HINT, unmask } from "./interpolation.ts"
import { positionIn } from "./line_position.ts"

/** Values made from one file. */
export const MAX_NODES = 20_000
/** Levels of maps and lists in one evaluated part. */
const MAX_NESTING = 64

/** Where an entry's key and its value begin, offsets into the text. */
interface Mark {
  readonly key: number
  readonly value: number
}

/** A plain value and where its parts stand in the file. */
export interface Located {
  readonly value: unknown
  /**
   * Where the value at a path begins, or its key. For what is not there: the nearest entry above.
   */
  position(path: readonly PropertyKey[], at: "key" | "value"): Position
  /** Reports a problem of the value, where it stands. */
  tell(problem: Problem): void
}

/** An entry of a map that was not evaluated yet. */
export interface Entry {
  readonly key: string
  readonly node: Node | undefined
  readonly mark: Mark
}

/** What `parseYamlFile` found. */
interface Source {
  readonly name: string
  readonly lines: LineCounter
  readonly masked: MaskedText
  readonly root: Node | undefined
}

/** A parsed file. Made by `parseYamlFile`. */
export class YamlFile {
  readonly #source: Source
  readonly #report: Report
  readonly #env: Environment
  readonly #targets: ReadonlyMap<Alias, Node>
  /** Values made and entries merged so far, of the whole file. */
  #nodes = 0

  constructor(source: Source, report: Report, env: Environment) {
    this.#source = source
    this.#report = report
    this.#env = env
    this.#targets = aliasTargets(source.root)
  }

  /** Line and column of an offset into the text. */
  #position(offset: number): Position {
    return positionIn(this.#source.name, this.#source.lines, offset)
  }

  /** The entries of the root map. Undefined when the root is no map. */
  rootEntries(): Entry[] | undefined {
    return this.entries(this.#source.root, [])
  }

  /** The entries of a map, aliases followed and merge keys (`<<`) applied; undefined for no map. */
  entries(node: Node | undefined, path: readonly Step[]): Entry[] | undefined {
    const target = this.#follow(node)
    return isMap(target) ? this.#entriesOf(target, path, 0) : undefined
  }

  /** Turns a node into a plain value, and says what is wrong with it on the way. */
  evaluate(entry: Entry, path: readonly Step[]): Located {
    const marks = new Map<unknown, ReadonlyMap<Step, Mark>>()
    const state = { stopped: false, open: new Set<Node>(), marks }
    const value = this.#value(entry.node, path, state)
    const position = (steps: readonly PropertyKey[], at: "key" | "value"): Position => {
      let mark = entry.mark
      let here: unknown = value
      for (const step of steps) {
        const inside = marks.get(here)
        if (inside === undefined) return this.#position(mark.value)
        const next = inside.get(step as Step)
        if (next === undefined) return this.#position(mark.key)
        mark = next
        here = (here as Record<Step, unknown>)[step as Step]
      }
      return this.#position(at === "key" ? mark.key : mark.value)
    }
    const tell = ({ atKey, ...problem }: Problem): void => {
      const at = position(problem.path, atKey === true ? "key" : "value")
      this.#report.add({ ...problem, position: at, path: [...path, ...problem.path] })
    }
    return { value, position, tell }
  }

  /** Reports what is wrong at an offset. */
  say(
    severity: "error" | "warning",
    offset: number,
    path: readonly Step[],
    message: string,
    hint?: string,
  ): void {
    this.#report.add({ severity, position: this.#position(offset), path, message, hint })
  }

  #follow(node: unknown): Node | undefined {
    let here = node
    // An alias can name an alias only by way of an anchored alias, which YAML does not have.
    if (isAlias(here)) here = this.#targets.get(here)
    return isNode(here) ? here : undefined
  }

  #value(node: unknown, path: readonly Step[], state: Evaluation): unknown {
    const target = this.#follow(node)
    if (isAlias(node) && target === undefined) {
      const alias = unmask(node.source, this.#source.masked.expressions)
      const message = `the alias *${alias} names an anchor that is not there`
      this.say("error", startOf(node), path, message)
      return null
    }
    if (target === undefined || state.stopped) return null
    const why = this.#bound(target, path, state)
    if (why !== undefined) {
      state.stopped = true
      this.say("error", startOf(isNode(node) ? node : target), path, why)
      return null
    }
    if (isScalar(target)) return this.#scalar(target, path)
    state.open.add(target)
    const value = isMap(target)
      ? this.#map(target, path, state)
      : isSeq(target)
        ? this.#list(target.items, path, state)
        : null
    state.open.delete(target)
    return value
  }

  #bound(node: Node, path: readonly Step[], state: Evaluation): string | undefined {
    if (++this.#nodes > MAX_NODES) return `more than ${MAX_NODES} values, aliases expanded`
    if (path.length > MAX_NESTING) return `nested deeper than ${MAX_NESTING} levels`
    return state.open.has(node) ? "an alias that contains itself" : undefined
  }

  #list(items: readonly unknown[], path: readonly Step[], state: Evaluation): unknown[] {
    const list: unknown[] = []
    const marks = new Map<Step, Mark>()
    for (const [index, item] of items.entries()) {
      const offset = startOf(item)
      marks.set(index, { key: offset, value: offset })
      list.push(this.#value(item, [...path, index], state))
      if (state.stopped) break
    }
    state.marks.set(list, marks)
    return list
  }

  #map(map: YAMLMap, path: readonly Step[], state: Evaluation): Record<string, unknown> {
    const object: Record<string, unknown> = {}
    const marks = new Map<Step, Mark>()
    for (const entry of this.#entriesOf(map, path, 0)) {
      marks.set(entry.key, entry.mark)
      object[entry.key] = this.#value(entry.node, [...path, entry.key], state)
      if (state.stopped) break
    }
    state.marks.set(object, marks)
    return object
  }

  #entriesOf(map: YAMLMap, path: readonly Step[], depth: number): Entry[] {
    const entries = new Map<string, Entry>()
    const merges: { node: unknown; offset: number }[] = []
    for (const pair of map.items as Pair<unknown, unknown>[]) {
      const offset = startOf(pair.key)
      const key = this.#key(pair.key, path)
      if (key === undefined) continue
      if (key === "<<" && isScalar(pair.key) && pair.key.type === "PLAIN") {
        merges.push({ node: pair.value, offset })
        continue
      }
      const first = entries.get(key)
      if (first !== undefined) {
        const line = this.#position(first.mark.key).line
        const message = `the key ${key} is there twice, first in line ${line}: this last one counts`
        this.say("warning", offset, [...path, key], message, "remove one of them")
      }
      const node = isNode(pair.value) ? pair.value : undefined
      const value = node === undefined || isEmpty(node) ? offset : startOf(node)
      entries.set(key, { key, node, mark: { key: offset, value } })
    }
    for (const merge of merges) this.#merge(merge, entries, path, depth)
    return [...entries.values()]
  }

  /** YAML 1.1 merge key: entries of another map, or of several, where this map has none of its own. */
  #merge(
    merge: { node: unknown; offset: number },
    into: Map<string, Entry>,
    path: readonly Step[],
    depth: number,
  ): void {
    const target = this.#follow(merge.node)
    const sources = isSeq(target) ? target.items.map((item) => this.#follow(item)) : [target]
    for (const source of sources) {
      if (!isMap(source)) {
        this.say("error", merge.offset, path, "the merge key << wants a map or a list of maps")
        return
      }
      if (depth >= MAX_NESTING || this.#nodes > MAX_NODES) {
        this.say("error", merge.offset, path, "the merge keys << expand to too much")
        return
      }
      for (const entry of this.#entriesOf(source, path, depth + 1)) {
        this.#nodes++
        if (!into.has(entry.key)) into.set(entry.key, entry)
      }
    }
  }

  /** The text of a key; undefined, and said, when it cannot be one. */
  #key(node: unknown, path: readonly Step[]): string | undefined {
    const target = this.#follow(node)
    if (!isScalar(target) || target.value === null) {
      this.say("error", startOf(node), path, "a key must be text")
      return undefined
    }
    const value = this.#scalar(target, path)
    const key = typeof value === "string" ? value : (target.source ?? String(value))
    if (key === "__proto__") {
      this.say("error", startOf(node), path, "__proto__ cannot be a key, it is ignored")
      return undefined
    }
    return key
  }

  #scalar(scalar: Scalar, path: readonly Step[]): unknown {
    const { value } = scalar
    if (typeof value !== "string") return value
    if (/\$/.test(value)) {
      const message = `a lone $ in ${showValue(unmask(value, this.#source.masked.expressions))}`
      this.say("warning", startOf(scalar), path, message, SYNTAX_HINT)
    }
    return expand(
      value,
      this.#source.masked.expressions,
      this.#env,
      (severity, offset, message, hint) => {
        this.say(severity, offset, path, message, hint)
      },
    )
  }
}

interface Evaluation {
  stopped: boolean
  readonly open: Set<Node>
  readonly marks: Map<unknown, ReadonlyMap<Step, Mark>>
}

function startOf(node: unknown): number {
  return isNode(node) ? (node.range?.[0] ?? 0) : 0
}

function isEmpty(node: Node): boolean {
  return isScalar(node) && node.value === null && (node.source ?? "") === ""
}

/** Which node each alias stands for: the last one before it that has the anchor. */
function aliasTargets(root: Node | undefined): Map<Alias, Node> {
  const targets = new Map<Alias, Node>()
  if (root === undefined) return targets
  const anchors = new Map<string, Node>()
  visit(root, (_, node) => {
    if (isAlias(node)) {
      const target = anchors.get(node.source)
      if (target !== undefined) targets.set(node, target)
    } else if ((isScalar(node) || isMap(node) || isSeq(node)) && node.anchor !== undefined) {
      anchors.set(node.anchor, node)
    }
  })
  return targets
}

/** Elements of sets that several owners want: there as long as one does. */

import type { SetElement } from "../netlink/nftables/element.ts"
import { elementKey } from "./element_key.ts"
import type { Contents } from "./layout.ts"

/** An element, and the name of its set. */
export type PlacedElement = readonly [set: string, element: SetElement]

interface Counted {
  readonly element: SetElement
  owners: number
}

/** One change costs what it changes: there may be thousands. */
export class CountedElements {
  readonly #owned = new Map<string, readonly PlacedElement[]>()
  readonly #sets = new Map<string, Map<string, Counted>>()
  /** What the sets had before the changes that were not taken yet; undefined: nothing. */
  readonly #before = new Map<string, Map<string, SetElement | undefined>>()
  readonly #lists = new Map<string, readonly SetElement[]>()

  /** Says what an owner wants, all of it. */
  desired(owner: string, elements: readonly PlacedElement[]): void {
    const before = this.#owned.get(owner) ?? []
    for (const one of elements) this.#count(one, 1)
    for (const one of before) this.#count(one, -1)
    if (elements.length > 0) this.#owned.set(owner, elements)
    else this.#owned.delete(owner)
  }

  /** The owners whose name begins so want nothing any more. */
  forget(prefix: string): void {
    for (const owner of [...this.#owned.keys()]) {
      if (owner.startsWith(prefix)) this.desired(owner, [])
    }
  }

  /** A set's elements; the same list until they change. */
  elements(set: string): readonly SetElement[] {
    const known = this.#lists.get(set)
    if (known !== undefined) return known
    const list = [...(this.#sets.get(set)?.values() ?? [])].map(({ element }) => element)
    this.#lists.set(set, list)
    return list
  }

  /** What changed since the last call: the elements that went, and those that came. */
  take(): { readonly gone: Contents; readonly come: Contents } {
    const gone = new Map<string, SetElement[]>()
    const come = new Map<string, SetElement[]>()
    for (const [set, changes] of this.#before) {
      for (const [key, before] of changes) {
        const now = this.#sets.get(set)?.get(key)?.element
        if ((before === undefined) === (now === undefined)) continue
        const [where, element] = before === undefined ? [come, now] : [gone, before]
        const list = where.get(set) ?? []
        where.set(set, list)
        if (element !== undefined) list.push(element)
      }
    }
    this.#before.clear()
    return { gone, come }
  }

  #count([set, element]: PlacedElement, difference: 1 | -1): void {
    const elements = this.#sets.get(set) ?? new Map<string, Counted>()
    this.#sets.set(set, elements)
    const key = elementKey(element)
    const known = elements.get(key)
    const owners = (known?.owners ?? 0) + difference
    if (known !== undefined && owners > 0) {
      known.owners = owners
      return
    }
    const changes = this.#before.get(set) ?? new Map<string, SetElement | undefined>()
    this.#before.set(set, changes)
    if (!changes.has(key)) changes.set(key, known?.element)
    this.#lists.delete(set)
    if (owners > 0) elements.set(key, { element, owners })
    else elements.delete(key)
  }
}

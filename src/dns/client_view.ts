import type { Model } from "../metadata/model.ts"
import type { ContainerRecord } from "../metadata/records.ts"
import { encodeName, hashLabels } from "./name.ts"
import type { NameEntry, NameIndex, NameRecords, Nearness } from "./name_index.ts"
import { type Named, NameTable } from "./name_table.ts"
import { type Link, linksOf, searchOf } from "./names.ts"

interface LinkName extends Named {
  readonly target: Link["target"]
}

/**
 * What one client sees beside the names that all see: names of links, and the suffixes tried behind
 * a name that is not there. Made anew when what it is made from has changed.
 */
export class ClientView {
  readonly #model: Model
  readonly #index: NameIndex
  readonly #containerNow: () => ContainerRecord | undefined
  readonly #nearnessOf: (container: ContainerRecord | undefined) => Nearness | undefined
  #nearness: Nearness | undefined
  #generation = -1
  #container: ContainerRecord | undefined
  #suffixes: readonly Uint8Array[] = []
  #links: NameTable<LinkName> | undefined

  /**
   * @param containerNow the container that the client is, as the model has it now
   * @param nearnessOf where it is, as that container
   */
  constructor(
    model: Model,
    index: NameIndex,
    containerNow: () => ContainerRecord | undefined,
    nearnessOf: (container: ContainerRecord | undefined) => Nearness | undefined,
  ) {
    this.#model = model
    this.#index = index
    this.#containerNow = containerNow
    this.#nearnessOf = nearnessOf
  }

  /** The container that asks. */
  get container(): ContainerRecord | undefined {
    this.#refresh()
    return this.#container
  }

  /** The name that labels are for this client: a link's first, then one that all see. */
  find(hash: number, bytes: Uint8Array, start: number, end: number): NameEntry | undefined {
    this.#refresh()
    const link = this.#links?.find(hash, bytes, start, end)
    const linked = link === undefined ? undefined : this.#follow(link)
    return linked ?? this.#index.find(hash, bytes, start, end)
  }

  /** The same with each suffix of the client behind the labels, until one is a name. */
  search(hash: number, bytes: Uint8Array, start: number, end: number): NameEntry | undefined {
    this.#refresh()
    for (const suffix of this.#suffixes) {
      const whole = hashLabels(suffix, 0, suffix.length, hash)
      const link = this.#links?.find(whole, bytes, start, end, suffix)
      const linked = link === undefined ? undefined : this.#follow(link)
      if (linked !== undefined) return linked
      const found = this.#index.find(whole, bytes, start, end, suffix)
      if (found !== undefined && this.#index.recordsOf(found).isSearchable) return found
    }
    return undefined
  }

  /** What a name has for this client. */
  recordsOf(entry: NameEntry): NameRecords {
    return this.#index.recordsOf(entry, this.#nearness)
  }

  #follow({ target }: LinkName): NameEntry | undefined {
    return target.kind === "container"
      ? this.#index.ofContainer(target.uuid)
      : this.#index.named(target.name)
  }

  #refresh(): void {
    if (this.#generation === this.#index.generation) return
    this.#generation = this.#index.generation
    this.#container = this.#containerNow()
    this.#nearness = this.#nearnessOf(this.#container)
    this.#suffixes = searchOf(this.#container)
      .map(encodeName)
      .filter((name) => name !== undefined)
    const links = this.#container === undefined ? [] : linksOf(this.#container, this.#model)
    this.#links = undefined
    for (const { name: text, target } of links) {
      const name = encodeName(text)
      if (name === undefined) continue
      this.#links ??= new NameTable()
      // The first of two links of one name: a container's own are before its services'.
      if (this.#links.get(name) === undefined) this.#links.add({ name, target })
    }
  }
}

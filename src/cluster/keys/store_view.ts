/** How far a host has heard the store, and what stands there under its own name. */

import { type Acknowledgement, sameAcknowledgement } from "./acknowledgement.ts"
import { type Announcement, MAX_ERA, sameAnnouncement } from "./announcement.ts"

/** An own record as the store has it; a value of undefined: it was taken away. */
interface Written<T> {
  readonly value: T | undefined
  /** The store's revision of it. */
  readonly revision: number
}

/**
 * Eras, revisions and the own records. Revisions of a store that was put back from a snapshot are
 * given twice, so those of two eras are never compared: with a new era, everything that was known by
 * revision is forgotten. A host that sees the store go back begins the next era; the others hear of
 * it from its records, also those whose watch went on as if nothing had happened.
 */
export class StoreView {
  #era: number
  #heard: number | undefined = undefined
  #relist = false
  /** The store was put back in this era, and whether another host has begun the next is not known. */
  #restoredIn: number | undefined = undefined
  #published: Written<Announcement> | undefined = undefined
  #acknowledged: Written<Acknowledgement> | undefined = undefined
  readonly #forget: () => void

  /** @param forget is called when revisions that were kept elsewhere mean nothing any more */
  constructor(era: number, forget: () => void) {
    this.#era = era
    this.#forget = forget
  }

  get era(): number {
    return this.#era
  }

  /** Everything up to this revision was told; undefined before the first listing. */
  get heard(): number | undefined {
    return this.#heard
  }

  /** The store was put back unnoticed: what it holds has to be told all over. */
  get relist(): boolean {
    return this.#relist
  }

  /** The own announcement. */
  get published(): Written<Announcement> | undefined {
    return this.#published
  }

  /** The own acknowledgement. */
  get acknowledged(): Written<Acknowledgement> | undefined {
    return this.#acknowledged
  }

  /** Everything up to a revision was told. */
  hear(revision: number): void {
    this.#heard = Math.max(this.#heard ?? 0, revision)
  }

  /** A record speaks of an era. */
  hearEra(era: number): void {
    if (era <= this.#era) return
    this.#era = era
    this.#restoredIn = undefined
    this.#relist ||= this.#heard !== undefined
    this.#forgetRevisions()
  }

  /** The store was put back, or is told all over because of {@link relist}. */
  restored(): void {
    // After a relist others have begun the new era already.
    if (!this.#relist) this.#restoredIn ??= this.#era
    this.#relist = false
    this.#heard = undefined
    this.#forgetRevisions()
  }

  /** Begins the next era after the store was put back and told, unless another host has done so. */
  beginEra(): void {
    if (this.#restoredIn === undefined || this.#heard === undefined) return
    this.#restoredIn = undefined
    this.#era = Math.min(this.#era + 1, MAX_ERA)
    this.#forgetRevisions()
  }

  /** The own announcement stands at a revision. @returns whether that is news */
  setPublished(value: Announcement | undefined, revision: number): boolean {
    if (this.#published !== undefined && revision < this.#published.revision) return false
    this.#published = { value, revision }
    return true
  }

  /** The own acknowledgement stands at a revision. @returns whether that is news */
  setAcknowledged(value: Acknowledgement | undefined, revision: number): boolean {
    if (this.#acknowledged !== undefined && revision < this.#acknowledged.revision) return false
    this.#acknowledged = { value, revision }
    return true
  }

  /** Whether the store's own announcement says this. */
  isPublished(wanted: Announcement): boolean {
    const last = this.#published?.value
    return last !== undefined && sameAnnouncement(last, wanted)
  }

  /** Whether the store's own acknowledgement says this, its revision aside. */
  isAcknowledged(wanted: Acknowledgement): boolean {
    const last = this.#acknowledged?.value
    return last !== undefined && sameAcknowledgement({ ...wanted, revision: last.revision }, last)
  }

  #forgetRevisions(): void {
    this.#published = undefined
    this.#acknowledged = undefined
    this.#forget()
  }
}

import { endsInName, lowerCase, wholeName } from "./name.ts"
import {
  TYPE_CNAME,
  TYPE_DNAME,
  TYPE_DS,
  TYPE_NS,
  TYPE_NSEC,
  TYPE_NSEC3,
  TYPE_RRSIG,
  TYPE_SOA,
} from "./wire.ts"

/** More names than this are no chain that anybody follows. */
const MAX_NAMES = 16

/**
 * What another server may say in answer to a question: records of its name, and of the names that it
 * stands for. All else would be believed without having been asked for.
 */
export class Bailiwick {
  /** The question's name, and what it leads to: labels in lower case, without the root's zero. */
  readonly #names: Uint8Array[]

  /** @param name of the question: labels in any case, without the root's zero */
  constructor(name: Uint8Array) {
    this.#names = [name.map(lowerCase)]
  }

  /**
   * Whether a record of a whole message belongs to the answer. To be asked of each in turn.
   *
   * @param section 0 for answers, 1 for authorities, 2 for what is additional
   * @param owner offset of its name, and `data` that of its data
   */
  takes(bytes: Uint8Array, section: number, owner: number, type: number, data: number): boolean {
    if (section === 2) return false
    const name = labelsAt(bytes, owner)
    const isAbove = (one: Uint8Array): boolean => endsInName(one, 0, one.length, name)
    if (section === 1) {
      // Proofs are of names beside; without a signature that fits them they prove nothing.
      if (type === TYPE_NSEC || type === TYPE_NSEC3 || type === TYPE_RRSIG) return true
      const isZone = type === TYPE_SOA || type === TYPE_NS || type === TYPE_DS
      return isZone && this.#names.some(isAbove)
    }
    if (this.#names.some((one) => one.length === name.length && isAbove(one))) {
      if (type === TYPE_CNAME) this.#names.push(labelsAt(bytes, data))
      return this.#names.length <= MAX_NAMES
    }
    return (type === TYPE_DNAME || type === TYPE_RRSIG) && this.#names.some(isAbove)
  }
}

function labelsAt(bytes: Uint8Array, at: number): Uint8Array {
  return wholeName(bytes, at).subarray(0, -1).map(lowerCase)
}

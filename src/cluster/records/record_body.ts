/** Total checks of what stands in another host's records. */

import { formatAddress, parseAddress } from "../../core/address.ts"
import { PeerRefusedError } from "./envelope.ts"

/** The most that a map of texts has. */
export interface TextsLimits {
  /** Entries. */
  readonly most: number
  /** Characters of a key, and of a value. */
  readonly key: number
  readonly value: number
}

/** Reads the fields of one JSON object; each reader throws a refusal that names the field. */
export class BodyReader {
  readonly #what: string
  readonly #fields: Readonly<Record<string, unknown>>

  /**
   * @param what is read, as in "announcement": the refusal's check and its first words
   * @throws PeerRefusedError where the body is no object
   */
  constructor(what: string, body: unknown) {
    this.#what = what
    if (typeof body !== "object" || body === null || Array.isArray(body)) {
      throw this.refusal("it is no object")
    }
    this.#fields = Object.fromEntries(Object.entries(body))
  }

  /** A whole number. @throws PeerRefusedError */
  integer(name: string, least: number, most: number): number {
    const value = this.#fields[name]
    if (typeof value === "number" && Number.isInteger(value) && value >= least && value <= most) {
      return value
    }
    throw this.refusal(`${name} is no whole number from ${least} to ${most}`)
  }

  /** Text of a form. @throws PeerRefusedError */
  text(name: string, form: RegExp): string {
    const value = this.#fields[name]
    if (typeof value === "string" && form.test(value)) return value
    throw this.refusal(`${name} is out of shape`)
  }

  /** As many bytes, written as base64url in the one way. @throws PeerRefusedError */
  bytes(name: string, length: number): Uint8Array {
    const value = this.#fields[name]
    if (typeof value === "string" && value.length <= length * 2) {
      const bytes = Buffer.from(value, "base64url")
      if (bytes.length === length && bytes.toString("base64url") === value) {
        return Uint8Array.from(bytes)
      }
    }
    throw this.refusal(`${name} is not ${length} bytes of base64url`)
  }

  /** A list of bounded length. @throws PeerRefusedError */
  list(name: string, least: number, most: number): readonly unknown[] {
    const value = this.#fields[name]
    if (Array.isArray(value) && value.length >= least && value.length <= most) return value
    throw this.refusal(`${name} is no list of ${least} to ${most}`)
  }

  /** Whether the field is there. */
  has(name: string): boolean {
    return Object.hasOwn(this.#fields, name)
  }

  isNull(name: string): boolean {
    return this.#fields[name] === null
  }

  /** Canonical addresses, each once. @throws PeerRefusedError */
  addresses(name: string, least: number, most: number): readonly string[] {
    const values = this.list(name, least, most).map((value) => {
      if (typeof value === "string" && isCanonicalAddress(value)) return value
      throw this.refusal(`${name} holds something that is no canonical address`)
    })
    if (new Set(values).size === values.length) return values
    throw this.refusal(`${name} holds an address twice`)
  }

  /** What an object holds. @throws PeerRefusedError */
  entries(name: string, most: number): readonly (readonly [key: string, value: unknown])[] {
    const value = this.#fields[name]
    if (typeof value === "object" && value !== null && !Array.isArray(value)) {
      const entries = Object.entries(value)
      if (entries.length <= most) return entries
    }
    throw this.refusal(`${name} is no object of at most ${most} entries`)
  }

  /** A map of texts. @throws PeerRefusedError */
  texts(name: string, limits: TextsLimits): Readonly<Record<string, string>> {
    const texts = this.entries(name, limits.most).map(([key, value]) => {
      const fits = typeof value === "string" && value.length <= limits.value
      if (fits && key.length <= limits.key) return [key, value] as const
      throw this.refusal(`${name} holds something that is no text, or too long`)
    })
    return Object.fromEntries(texts)
  }

  /** A refusal of this record. */
  refusal(why: string): PeerRefusedError {
    return new PeerRefusedError(this.#what, `Cannot take the ${this.#what}: ${why}`)
  }
}

function isCanonicalAddress(text: string): boolean {
  try {
    return formatAddress(parseAddress(text)) === text
  } catch {
    return false
  }
}

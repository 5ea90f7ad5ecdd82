import type { Kernel } from "../../endpoint/kernel.ts"
import { underlay } from "../../endpoint/underlay.ts"

/** The link of the route to other hosts. */
export interface UnderlayLink {
  /** Bytes. */
  readonly mtu: number
  /** 0 without a route. */
  readonly index: number
}

/**
 * The MTU of the route to other hosts, remembered: an attach must not list all routes each time.
 * Whoever hears of a changed route or link says so, and it is looked up again.
 */
export class Underlay {
  readonly #measure: () => UnderlayLink
  #link: UnderlayLink | undefined

  /** @param options.measure looks it up; default from the kernel's routes */
  constructor(kernel: Kernel, options: { measure?: () => UnderlayLink } = {}) {
    this.#measure = options.measure ?? (() => underlay(kernel))
  }

  /** Bytes. */
  get mtu(): number {
    this.#link ??= this.#measure()
    return this.#link.mtu
  }

  /** A link changed. @returns whether it is the one that the route uses: no other matters */
  linkChanged(index: number): boolean {
    if (this.#link?.index !== index) return false
    this.forget()
    return true
  }

  forget(): void {
    this.#link = undefined
  }
}

import type { Kernel } from "../endpoint/kernel.ts"
import { underlayMtu } from "../endpoint/underlay.ts"

/**
 * The MTU of the route to other hosts, remembered: an attach must not list all routes each time.
 * Whoever hears of a changed link or route lets it be looked up again.
 */
export class Underlay {
  readonly #measure: () => number
  #mtu: number | undefined

  /** @param options.measure looks it up; default from the kernel's routes */
  constructor(kernel: Kernel, options: { measure?: () => number } = {}) {
    this.#measure = options.measure ?? (() => underlayMtu(kernel))
  }

  /** Bytes. */
  get mtu(): number {
    this.#mtu ??= this.#measure()
    return this.#mtu
  }

  forget(): void {
    this.#mtu = undefined
  }
}

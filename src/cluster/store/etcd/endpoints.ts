/** The members of an etcd by their URLs, and which one is asked first. */

import { LariatError } from "../../../errors.ts"

/** More than any etcd has: a list this long is a mistake. */
const MAX_ENDPOINTS = 32

/**
 * The members that a setting such as `https://10.0.0.1:2379,https://10.0.0.2:2379` names.
 *
 * @throws LariatError config-invalid; a password in it is not shown
 */
export function parseEndpoints(urls: string | readonly string[]): string[] {
  const texts = (typeof urls === "string" ? urls.split(",") : [...urls])
    .map((text) => text.trim())
    .filter((text) => text !== "")
  const refuse = (why: string): never => {
    throw new LariatError(`Cannot use the store: ${why}`, {
      code: "config-invalid",
      hint: "give URLs such as https://10.0.0.1:2379,https://10.0.0.2:2379",
    })
  }
  if (texts.length === 0) refuse("no URL is given")
  if (texts.length > MAX_ENDPOINTS) refuse(`${texts.length} URLs, at most ${MAX_ENDPOINTS}`)
  const endpoints = texts.map((text) => {
    if (!URL.canParse(text)) return refuse("one of its URLs is none")
    const url = new URL(text)
    if (url.username !== "" || url.password !== "") {
      return refuse(
        `the URL of ${url.host} holds a user: storeUser and storePasswordFile are for that`,
      )
    }
    if (url.protocol !== "https:" && url.protocol !== "http:") {
      return refuse(`${url.host} is neither http nor https`)
    }
    if (url.pathname !== "/" || url.search !== "" || url.hash !== "") {
      return refuse(`the URL of ${url.host} has more than a host and a port`)
    }
    return url.origin
  })
  return [...new Set(endpoints)]
}

/** Whom to ask: the same member while it answers, then the next. */
export class Endpoints {
  readonly #urls: readonly string[]
  #current: number

  /** @param random from 0 up to 1: hosts begin with different members */
  constructor(urls: readonly string[], random: () => number) {
    this.#urls = urls
    this.#current = Math.floor(random() * urls.length)
  }

  get current(): string {
    return this.#urls[this.#current] ?? ""
  }

  /** All of them, the current one first. */
  inTurn(): string[] {
    return [...this.#urls.slice(this.#current), ...this.#urls.slice(0, this.#current)]
  }

  answered(url: string): void {
    const index = this.#urls.indexOf(url)
    if (index >= 0) this.#current = index
  }

  /** Turns to the next member, unless somebody has turned away from this one already. */
  failed(url: string): void {
    if (url === this.current) this.#current = (this.#current + 1) % this.#urls.length
  }
}

import { readFileSync, statSync } from "node:fs"
import { type HostResolver, NO_RESOLVER, parseResolvConf } from "../../dns/resolv_conf.ts"

/** The file is looked at this often at most, and only while somebody asks, milliseconds. */
const LOOK_EVERY_MS = 1000
/** More than any such file has; the rest is not read as one. */
const MAX_BYTES = 65_536

/**
 * The nameservers and search domains of a resolv.conf, as it is now: it is looked at when they are
 * needed, so that a host where nobody asks has nothing to do. Replacing the file, or what it links
 * to, and writing into it are all noticed.
 */
export class HostServers {
  readonly #path: string
  readonly #now: () => number
  #lookAgain = Number.NEGATIVE_INFINITY
  #seen = ""
  #resolver = NO_RESOLVER

  /** @param now monotonic milliseconds */
  constructor(path: string, now: () => number) {
    this.#path = path
    this.#now = now
  }

  /** As it was found last. */
  get resolver(): HostResolver {
    return this.#resolver
  }

  /** What the file says, where it is other than at the last look; nothing without such a file. */
  changed(): HostResolver | undefined {
    const now = this.#now()
    if (now < this.#lookAgain) return undefined
    this.#lookAgain = now + LOOK_EVERY_MS
    const seen = this.#stamp()
    if (seen === this.#seen) return undefined
    const resolver = this.#read()
    this.#seen = seen
    if (isSame(resolver, this.#resolver)) return undefined
    this.#resolver = resolver
    return resolver
  }

  /** Another one whenever the file may have another content. */
  #stamp(): string {
    const stat = statSync(this.#path, { bigint: true, throwIfNoEntry: false })
    return stat === undefined ? "" : `${stat.dev} ${stat.ino} ${stat.size} ${stat.mtimeNs}`
  }

  #read(): HostResolver {
    try {
      return parseResolvConf(readFileSync(this.#path, "utf8").slice(0, MAX_BYTES))
    } catch {
      return NO_RESOLVER
    }
  }
}

function isSame(a: HostResolver, b: HostResolver): boolean {
  return textOf(a) === textOf(b)
}

function textOf({ servers, search }: HostResolver): string {
  return JSON.stringify([servers.map(({ address }) => address), search])
}

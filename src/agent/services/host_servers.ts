import { readFileSync, statSync } from "node:fs"
import { parseResolvConf, type ServerAddress } from "../../dns/resolv_conf.ts"

/** The file is looked at this often at most, and only while somebody asks, milliseconds. */
const LOOK_EVERY_MS = 1000
/** More than any such file has; the rest is not read as one. */
const MAX_BYTES = 65_536

/**
 * The nameservers that a resolv.conf names, as it is now: it is looked at when they are needed, so
 * that a host where nobody asks has nothing to do. Replacing the file, or what it links to, and
 * writing into it are all noticed.
 */
export class HostServers {
  readonly #path: string
  readonly #now: () => number
  #lookAgain = Number.NEGATIVE_INFINITY
  #seen = ""
  #servers: readonly ServerAddress[] = []

  /** @param now monotonic milliseconds */
  constructor(path: string, now: () => number) {
    this.#path = path
    this.#now = now
  }

  /** As they were found last. */
  get servers(): readonly ServerAddress[] {
    return this.#servers
  }

  /** The nameservers, where they are others than at the last look; none without such a file. */
  changed(): readonly ServerAddress[] | undefined {
    const now = this.#now()
    if (now < this.#lookAgain) return undefined
    this.#lookAgain = now + LOOK_EVERY_MS
    const seen = this.#stamp()
    if (seen === this.#seen) return undefined
    const servers = this.#read()
    this.#seen = seen
    if (sameServers(servers, this.#servers)) return undefined
    this.#servers = servers
    return servers
  }

  /** Another one whenever the file may have another content. */
  #stamp(): string {
    const stat = statSync(this.#path, { bigint: true, throwIfNoEntry: false })
    return stat === undefined ? "" : `${stat.dev} ${stat.ino} ${stat.size} ${stat.mtimeNs}`
  }

  #read(): readonly ServerAddress[] {
    try {
      return parseResolvConf(readFileSync(this.#path, "utf8").slice(0, MAX_BYTES))
    } catch {
      return []
    }
  }
}

function sameServers(a: readonly ServerAddress[], b: readonly ServerAddress[]): boolean {
  return a.length === b.length && a.every(({ address }, at) => address === b[at]?.address)
}

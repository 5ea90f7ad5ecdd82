/** What stands for who is connected. */
export interface Connected {
  /** TCP connections that it has open. */
  connections: number
}

/** One connection, as {@link Connections} sees it. */
export interface OpenConnection {
  /** It asked something. */
  asked(): void
  /** It is gone. */
  end(): void
}

interface Open {
  readonly client: Connected
  readonly close: () => void
}

/**
 * The TCP connections of all clients, so many of each and so many in all. Where there is no room
 * left, who has most makes room for who has fewer, by the connection that asked longest ago: nobody
 * is kept out by others, however many they are.
 */
export class Connections {
  readonly #most: number
  readonly #mostPerClient: number
  /** In the order in which they asked last. */
  readonly #open = new Set<Open>()

  constructor(most: number, mostPerClient: number) {
    this.#most = most
    this.#mostPerClient = mostPerClient
  }

  /**
   * Takes one more.
   *
   * @param close ends it, to make room; `end` is still to be called
   * @returns undefined when it is refused
   */
  add(client: Connected, close: () => void): OpenConnection | undefined {
    if (client.connections >= this.#mostPerClient) return undefined
    if (this.#open.size >= this.#most && !this.#makeRoom(client)) return undefined
    const one = { client, close }
    this.#open.add(one)
    client.connections += 1
    return {
      asked: () => {
        if (this.#open.delete(one)) this.#open.add(one)
      },
      end: () => this.#drop(one),
    }
  }

  #makeRoom(client: Connected): boolean {
    let victim: Open | undefined
    for (const one of this.#open) {
      if (one.client.connections > (victim?.client ?? client).connections) victim = one
    }
    if (victim === undefined) return false
    this.#drop(victim)
    victim.close()
    return true
  }

  #drop(one: Open): void {
    if (this.#open.delete(one)) one.client.connections -= 1
  }
}

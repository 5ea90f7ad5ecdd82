/** Datagrams of one turn of the event loop, handed to the kernel together. */

/**
 * How many go at once. A reader that waits is woken once for all of them; with more it begins to
 * wait for them.
 */
const MOST = 16
/** What a datagram may have to be kept in memory that is there already: an Ethernet packet's worth. */
const SLOT_BYTES = 1536

/**
 * Memory for one datagram. New memory for each, and clearing it away, would be a tenth of what an
 * answer costs; views of it, of each length once, are kept too.
 */
class Slot {
  readonly #bytes = new Uint8Array(SLOT_BYTES)
  readonly #views: Uint8Array[] = []

  /** Undefined where it does not fit. */
  copyOf(bytes: Uint8Array): Uint8Array | undefined {
    const { length } = bytes
    if (length > SLOT_BYTES) return undefined
    this.#views[length] ??= this.#bytes.subarray(0, length)
    this.#bytes.set(bytes)
    return this.#views[length]
  }
}

/** Bytes, port and address of one datagram after the other. */
type Datagrams = (Uint8Array | number | string)[]
const PARTS = 3

/** Sends datagrams up to the first that cannot be sent, which throws where it is the very first. */
export type SendMany = (datagrams: Datagrams) => number

/**
 * Gathers the datagrams that one socket is to send until the event loop has gone round. Most of
 * what an answer costs a server is the way through the kernel and waking who waits for it: with
 * several at once, both are paid once.
 */
export class UdpBatch {
  readonly #sendMany: SendMany
  readonly #datagrams: Datagrams = []
  readonly #slots = Array.from({ length: MOST }, () => new Slot())
  #isScheduled = false

  constructor(sendMany: SendMany) {
    this.#sendMany = sendMany
  }

  /** Adds a datagram, of which it makes a copy. Port 0 is nobody's: a forged sender. */
  add(bytes: Uint8Array, port: number, address: string): void {
    if (port === 0) return
    const slot = this.#slots[this.#datagrams.length / PARTS]
    this.#datagrams.push(slot?.copyOf(bytes) ?? bytes.slice(), port, address)
    if (this.#datagrams.length === MOST * PARTS) this.flush()
    else if (!this.#isScheduled) {
      this.#isScheduled = true
      setImmediate(() => {
        this.#isScheduled = false
        this.flush()
      })
    }
  }

  /** Sends what was added. What the kernel has no room for is lost, as datagrams may be. */
  flush(): void {
    const datagrams = this.#datagrams
    let isSecondTry = false
    for (let at = 0; at < datagrams.length; ) {
      try {
        const sent = this.#sendMany(at === 0 ? datagrams : datagrams.slice(at))
        if (sent === 0) break
        at += sent * PARTS
        isSecondTry = false
      } catch {
        // An error may be what the network said of an earlier one; if it is this one's, the others
        // are to be sent all the same.
        if (isSecondTry) at += PARTS
        isSecondTry = !isSecondTry
      }
    }
    datagrams.length = 0
  }
}

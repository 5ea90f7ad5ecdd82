/** The UDP sockets in which the kernel finds ESP, kept over a restart where systemd runs. */

import type { Logger } from "@logtape/logtape"
import { LariatError, messageOf } from "../../../errors.ts"
import { discardDescriptors, storeDescriptor } from "../../../sys/fd_store.ts"
import { libc } from "../../../sys/ffi/libc.ts"
import { UdpEncapSocket } from "../../../sys/net/udp_encap.ts"
import { type UdpDatagram, UdpEncapReader } from "../../../sys/net/udp_encap_reader.ts"
import type { Health } from "../../health.ts"

/** What {@link EncapSockets} works with. */
export interface EncapSocketsOptions {
  /** What the service manager kept for this process; what is not wanted is let go. */
  readonly kept: ReadonlyMap<string, readonly number[]>
  readonly health: Health
  readonly log: Logger
  readonly onDatagrams: (datagrams: readonly UdpDatagram[]) => void
}

/** One socket per family and port, for all networks; and the thread that reads them. */
export class EncapSockets {
  readonly #options: EncapSocketsOptions
  /** By name in the service manager's store. */
  readonly #sockets = new Map<string, UdpEncapSocket>()
  readonly #kept = new Map<string, readonly number[]>()
  #reader: UdpEncapReader | undefined
  /** What is done to the reader, one after the other. */
  #reading: Promise<void> = Promise.resolve()
  #told = false

  constructor(options: EncapSocketsOptions) {
    this.#options = options
    for (const [name, fds] of options.kept) this.#kept.set(name, fds)
  }

  /** The socket of a port; undefined where it could not be opened. */
  get(family: 4 | 6, port: number): UdpEncapSocket | undefined {
    return this.#sockets.get(nameOf(family, port))
  }

  /**
   * Opens what is missing of these ports, and closes what is none of them. A port that cannot be
   * had becomes a problem of `status`; it is tried again with the next call.
   *
   * @returns whether all are there
   */
  ensure(family: 4 | 6, ports: readonly number[]): boolean {
    const { health } = this.#options
    const wanted = new Map(ports.map((port) => [nameOf(family, port), port]))
    let changed = this.#closeOthers(wanted)
    for (const [name, port] of wanted) {
      if (this.#sockets.has(name)) continue
      try {
        const socket = this.#adopt(name, family, port) ?? UdpEncapSocket.open(family, port)
        this.#sockets.set(name, socket)
        changed = true
        // Again at each start: one that is there already is not kept twice.
        if (!storeDescriptor(name, socket.fd)) this.#tellUnkept()
        health.clear(`encapsulation/${name}`)
      } catch (error) {
        const hint = error instanceof LariatError ? error.hint : undefined
        health.raise(`encapsulation/${name}`, { severity: "error", what: messageOf(error), hint })
      }
    }
    this.#letGo()
    if (changed) this.#read([...this.#sockets.values()])
    return this.#sockets.size === wanted.size
  }

  /** Ends: the thread first, which has the descriptors, then the sockets. */
  async stop(): Promise<void> {
    this.#read([])
    await this.#reading
    for (const socket of this.#sockets.values()) socket.close()
    this.#sockets.clear()
  }

  #adopt(name: string, family: 4 | 6, port: number): UdpEncapSocket | undefined {
    const [fd, ...rest] = this.#kept.get(name) ?? []
    if (fd === undefined) return undefined
    const socket = UdpEncapSocket.adopt(fd)
    if (socket?.family !== family || socket.port !== port) return undefined
    // What is not adopted is let go with the others.
    this.#kept.set(name, rest)
    return socket
  }

  /** What the service manager handed over and nobody wants would keep its port from others. */
  #letGo(): void {
    for (const [name, fds] of this.#kept) {
      if (!/^lariat-esp[46]-/.test(name)) continue
      for (const fd of fds) libc.close(fd)
      if (!this.#sockets.has(name)) discardDescriptors(name)
      this.#kept.delete(name)
    }
  }

  #closeOthers(wanted: ReadonlyMap<string, number>): boolean {
    const gone = [...this.#sockets].filter(([name]) => !wanted.has(name))
    for (const [name] of gone) {
      this.#sockets.delete(name)
      discardDescriptors(name)
    }
    // Not before the thread has let go of them: their numbers would be another file's.
    this.#reading = this.#reading.then(async () => {
      if (gone.length > 0) await this.#reader?.stop()
      for (const [, socket] of gone) socket.close()
    })
    return gone.length > 0
  }

  #read(sockets: readonly UdpEncapSocket[]): void {
    const { log, onDatagrams } = this.#options
    const failed = (error: unknown) =>
      log.error("UDP encapsulation is not heard: {why}", { why: messageOf(error) })
    this.#reading = this.#reading
      .then(async () => {
        await this.#reader?.stop()
        this.#reader =
          sockets.length === 0
            ? undefined
            : UdpEncapReader.start(sockets, { onDatagrams, onFailure: failed })
      })
      .catch(failed)
  }

  #tellUnkept(): void {
    if (this.#told) return
    this.#told = true
    this.#options.log.info(
      "no service manager keeps the UDP sockets: what comes in UDP while the agent restarts is lost; as a systemd service with FileDescriptorStoreMax= nothing is",
    )
  }
}

function nameOf(family: 4 | 6, port: number): string {
  return `lariat-esp${family}-${port}`
}

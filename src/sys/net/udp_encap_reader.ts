/** Hearing what comes to UDP encapsulation sockets beside ESP. */

import { formatAddress } from "../../core/address.ts"
import type { LariatError } from "../../errors.ts"
import { check, SystemError } from "../ffi/errno.ts"
import { libc } from "../ffi/libc.ts"
import { type RunningWorker, startWorker } from "../ffi/worker.ts"
import type { UdpEncapSocket, UdpEndpoint } from "./udp_encap.ts"
import type { RawDatagram, UdpEncapOrder, UdpEncapReport } from "./udp_encap_protocol.ts"

/** EFD_CLOEXEC of sys/eventfd.h. */
const EFD_CLOEXEC = 0o2000000

/** A datagram that is no ESP. */
export interface UdpDatagram {
  /** Without the marker. */
  readonly payload: Uint8Array
  readonly source: UdpEndpoint
  /** Where it came to: the address is this host's. */
  readonly local: UdpEndpoint
  readonly socket: UdpEncapSocket
}

/** What hears the datagrams. */
export interface UdpEncapListeners {
  /** Datagrams of a burst, in the order of each socket. */
  readonly onDatagrams: (datagrams: readonly UdpDatagram[]) => void
  /** The thread ended by itself; nothing is heard any more. Default: nothing. */
  readonly onFailure?: (error: LariatError) => void
}

/** Reads sockets on a thread of its own, until it is stopped; the sockets stay the caller's. */
export class UdpEncapReader {
  readonly #worker: RunningWorker<UdpEncapOrder>
  readonly #stopFd: number
  readonly #stopped = Promise.withResolvers<void>()
  #state: "running" | "stopping" | "ended" = "running"

  private constructor(
    sockets: readonly UdpEncapSocket[],
    listeners: UdpEncapListeners,
    stopFd: number,
  ) {
    this.#stopFd = stopFd
    const url = new URL("./udp_encap_worker.ts", import.meta.url)
    this.#worker = startWorker<UdpEncapOrder, UdpEncapReport>(url, {
      onMessage: (report) => this.#hear(report, sockets, listeners),
      onError: (error) => this.#fail(error, listeners),
    })
    this.#worker.post({ stopFd, sockets: sockets.map(({ fd, family }) => ({ fd, family })) })
  }

  /**
   * Starts reading; what comes from now on is heard, though the thread may not run yet. The
   * sockets must stay open until it is stopped.
   *
   * @throws SystemError
   */
  static start(sockets: readonly UdpEncapSocket[], listeners: UdpEncapListeners): UdpEncapReader {
    const stopFd = check(libc.eventfd(0, EFD_CLOEXEC), "eventfd", "make an eventfd")
    try {
      return new UdpEncapReader(sockets, listeners, stopFd)
    } catch (error) {
      libc.close(stopFd)
      throw error
    }
  }

  /** Stops; resolves when the thread has let go of the descriptors. May be called twice. */
  async stop(): Promise<void> {
    if (this.#state === "running") {
      this.#state = "stopping"
      const one = new Uint8Array(new BigUint64Array([1n]).buffer)
      check(libc.write(this.#stopFd, one, one.length), "write", "stop the reader's thread")
    }
    await this.#stopped.promise
  }

  #hear(
    report: UdpEncapReport,
    sockets: readonly UdpEncapSocket[],
    listeners: UdpEncapListeners,
  ): void {
    if (report.kind === "stopped") this.#end()
    else if (report.kind === "failed") {
      const error = new SystemError(report.errno, "poll", "wait for datagrams")
      this.#fail(error, listeners)
    } else if (report.kind === "datagrams" && this.#state === "running") {
      const heard = report.datagrams.flatMap((raw) => readDatagram(raw, sockets) ?? [])
      if (heard.length > 0) listeners.onDatagrams(heard)
    }
  }

  #fail(error: LariatError, { onFailure }: UdpEncapListeners): void {
    const wanted = this.#state === "running"
    this.#end()
    if (wanted) onFailure?.(error)
  }

  #end(): void {
    if (this.#state === "ended") return
    this.#state = "ended"
    this.#worker.terminate()
    libc.close(this.#stopFd)
    this.#stopped.resolve()
  }
}

function readDatagram(
  { socket: index, payload, sender, local }: RawDatagram,
  sockets: readonly UdpEncapSocket[],
): UdpDatagram | undefined {
  const socket = sockets[index]
  if (socket === undefined || local === undefined || sender.length < 16) return undefined
  const { family, port } = socket
  const bytes = family === 4 ? sender.slice(4, 8) : sender.slice(8, 24)
  const view = new DataView(sender.buffer, sender.byteOffset)
  return {
    payload,
    source: { address: formatAddress({ family, bytes }), port: view.getUint16(2, false) },
    local: { address: formatAddress({ family, bytes: local }), port },
    socket,
  }
}

/** Hearing what comes to UDP encapsulation sockets beside ESP. */

import { formatAddress } from "../../core/address.ts"
import type { LariatError } from "../../errors.ts"
import { PollThread } from "../ffi/poll_thread.ts"
import { decodeEndpoint, type IpEndpoint } from "./ip_endpoint.ts"
import type { UdpEncapSocket } from "./udp_encap.ts"
import type { RawDatagram, UdpEncapOrder } from "./udp_encap_worker.ts"

/** A datagram that is no ESP. */
export interface UdpDatagram {
  /** Without the marker. */
  readonly payload: Uint8Array
  readonly source: IpEndpoint
  /** Where it came to: the address is this host's. */
  readonly local: IpEndpoint
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
  readonly #thread: PollThread<UdpEncapOrder, readonly RawDatagram[]>

  private constructor(
    sockets: readonly UdpEncapSocket[],
    { onDatagrams, onFailure = () => {} }: UdpEncapListeners,
  ) {
    const url = new URL("./udp_encap_worker.ts", import.meta.url)
    const order = { sockets: sockets.map(({ fd, family }) => ({ fd, family })) }
    const onNews = (datagrams: readonly RawDatagram[]) => {
      const heard = datagrams.flatMap((raw) => readDatagram(raw, sockets) ?? [])
      if (heard.length > 0) onDatagrams(heard)
    }
    this.#thread = new PollThread(url, order, { onNews, onFailure })
  }

  /**
   * Starts reading; what comes from now on is heard, though the thread may not run yet. The
   * sockets must stay open until it is stopped.
   *
   * @throws SystemError
   */
  static start(sockets: readonly UdpEncapSocket[], listeners: UdpEncapListeners): UdpEncapReader {
    return new UdpEncapReader(sockets, listeners)
  }

  /** Stops; resolves when the thread has let go of the descriptors. May be called twice. */
  stop(): Promise<void> {
    return this.#thread.stop()
  }
}

function readDatagram(
  { socket: index, payload, sender, local }: RawDatagram,
  sockets: readonly UdpEncapSocket[],
): UdpDatagram | undefined {
  const socket = sockets[index]
  const source = decodeEndpoint(sender)
  if (socket === undefined || local === undefined || source === undefined) return undefined
  const address = formatAddress({ family: socket.family, bytes: local })
  return { payload, source, local: { address, port: socket.port }, socket }
}

/** What the reader of UDP encapsulation sockets and its thread say to each other. */

/** What the thread is told: descriptors, which threads of a process share. */
export interface UdpEncapOrder {
  readonly sockets: readonly { readonly fd: number; readonly family: 4 | 6 }[]
  /** An eventfd; anything written to it stops the thread. */
  readonly stopFd: number
}

/** One datagram without its marker. */
export interface RawDatagram {
  /** Position of its socket in the order. */
  readonly socket: number
  readonly payload: Uint8Array
  /** struct sockaddr_in or sockaddr_in6 of the sender. */
  readonly sender: Uint8Array
  /** The own address that it came to; undefined where the kernel did not say. */
  readonly local: Uint8Array | undefined
}

/** What the thread tells. */
export type UdpEncapReport =
  | { readonly kind: "ready" }
  | { readonly kind: "stopped" }
  | { readonly kind: "failed"; readonly errno: number }
  | { readonly kind: "datagrams"; readonly datagrams: readonly RawDatagram[] }

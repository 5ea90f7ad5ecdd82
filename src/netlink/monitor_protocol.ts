/** What the monitor and its thread say to each other. */

/** What the thread is told: descriptors, which threads of a process share. */
export interface MonitorOrder {
  readonly netlinkFd: number
  /** An eventfd; anything written to it stops the thread. */
  readonly stopFd: number
}

/** What the thread tells. */
export type MonitorReport =
  | { readonly kind: "ready" }
  | { readonly kind: "stopped" }
  | { readonly kind: "overrun" }
  | { readonly kind: "failed"; readonly errno: number }
  | { readonly kind: "datagrams"; readonly datagrams: readonly Uint8Array[] }

/** A driver as the tests of drivers speak to it: of one thing at a time, as the agent hears of it. */
import type { Driver, OverlayPeer, OverlaySelf, PeerLink } from "../../src/drivers/driver.ts"
import type { KeyedDriver } from "../../src/drivers/keyed_driver.ts"

export class DriverHand {
  readonly driver: Driver
  readonly #peers = new Map<string, OverlayPeer>()
  #self: OverlaySelf | undefined
  #udp: boolean

  constructor(driver: Driver, { udp = false }: { readonly udp?: boolean | undefined } = {}) {
    this.driver = driver
    this.#udp = udp
  }

  get parameters(): Readonly<Record<string, string>> {
    return this.driver.parameters
  }

  get keyed(): KeyedDriver {
    if (this.driver.keyed === undefined) throw new Error(`${this.driver.kind} has no keys`)
    return this.driver.keyed
  }

  prepare(self: OverlaySelf): void {
    this.#self = self
    this.#set()
  }

  putPeer(peer: OverlayPeer): void {
    this.putPeers([peer])
  }

  putPeers(peers: readonly OverlayPeer[]): void {
    for (const peer of peers) this.#peers.set(peer.hostId, peer)
    this.#set()
  }

  removePeer(hostId: string): void {
    this.#peers.delete(hostId)
    this.#set()
  }

  setUdp(udp: boolean): void {
    this.#udp = udp
    this.#set()
  }

  /** All peers were named: the kernel is to have those alone. @returns what was mended */
  repair(): readonly string[] {
    return this.#set(true)
  }

  links(): readonly PeerLink[] {
    return this.driver.links()
  }

  remove(): void {
    this.driver.remove()
  }

  close(): void {
    this.driver.close()
  }

  #set(complete = false): readonly string[] {
    if (this.#self === undefined) throw new Error("the driver was not prepared")
    const desired = { self: this.#self, udp: this.#udp, peers: this.#peers, complete }
    return this.driver.set(desired, complete)
  }
}

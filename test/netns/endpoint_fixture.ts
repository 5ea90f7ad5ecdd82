/** A bridge and containers for the tests of the endpoint room. */
import { type Bridge, type BridgeSpec, ensureBridge } from "../../src/endpoint/bridge.ts"
import { createPort } from "../../src/endpoint/create_port.ts"
import { hostLinkName, LIVE_GROUP, PARKED_GROUP } from "../../src/endpoint/host_link.ts"
import { Kernel } from "../../src/endpoint/kernel.ts"
import type { Port, PortSpec } from "../../src/endpoint/port.ts"
import { deleteLinkGroup } from "../../src/netlink/route/link.ts"
import { type Netns, openNetns } from "../../src/sys/netns/netns.ts"
import { ip, requireTestNetns } from "./guard.ts"

export const GATEWAY = "10.42.0.1"
export const GATEWAY6 = "fd00:42::1"

/** The bridge that most tests use. */
export const BRIDGE: BridgeSpec = {
  name: "br0",
  mtu: 1500,
  mac: "02:00:02:00:00:01",
  create: true,
  promisc: false,
  addresses: [`${GATEWAY}/16`, `${GATEWAY6}/64`],
}

export class Fixture {
  readonly kernel: Kernel
  readonly #spaces = new Map<string, Netns>()

  constructor() {
    requireTestNetns()
    this.kernel = Kernel.open()
  }

  bridge(spec: Partial<BridgeSpec> = {}): Bridge {
    return ensureBridge(this.kernel, { ...BRIDGE, ...spec })
  }

  /** A namespace with a name that `ip -n` knows. */
  netns(name: string): Netns {
    ip("netns", "add", name)
    const netns = openNetns(`/run/netns/${name}`)
    this.#spaces.set(name, netns)
    return netns
  }

  spec(id: number, bridgeIndex: number, more: Partial<PortSpec> = {}): PortSpec {
    const low = (id & 255).toString(16).padStart(2, "0")
    const high = (id >> 8).toString(16).padStart(2, "0")
    return {
      hostName: hostLinkName(`container-${id}`, "eth0", "test"),
      ifname: "eth0",
      bridgeIndex,
      mac: `02:00:01:00:${high}:${low}`,
      mtu: 1402,
      addresses: [`10.42.${1 + (id >> 8)}.${id & 255}/16`],
      routes: [{ dst: "0.0.0.0/0", gw: GATEWAY }],
      hairpin: false,
      alias: `container-${id}/eth0`,
      ...more,
    }
  }

  /** Many ports in one namespace, with interfaces eth0, eth1, … */
  ports(netns: Netns, bridgeIndex: number, count: number, first = 0): Port[] {
    return Array.from({ length: count }, (_, i) => {
      const id = first + i
      const more = { ifname: `eth${id}`, routes: [], addresses: [] }
      return createPort(this.kernel, netns, this.spec(id, bridgeIndex, more))
    })
  }

  /** Ends a namespace, as when its container ends. */
  end(name: string): void {
    this.#spaces.get(name)?.close()
    this.#spaces.delete(name)
    ip("netns", "del", name)
  }

  close(): void {
    // The kernel takes its time with the links of a namespace that ends.
    const groups = [LIVE_GROUP, PARKED_GROUP]
    for (const group of groups) this.kernel.tryAll([deleteLinkGroup(group)])
    for (const name of [...this.#spaces.keys()]) this.end(name)
    for (const link of this.kernel.links()) {
      if (link.kind === "bridge") ip("link", "del", link.name)
    }
    this.kernel.close()
  }
}

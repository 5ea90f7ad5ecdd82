/** A router between the underlay and one host: with or without NAT, and as narrow as wanted. */
import { newVeth } from "../../src/netlink/route/link.ts"
import { run } from "../clients/program.ts"
import { LabNetns } from "./lab_netns.ts"
import {
  type Cable,
  TEST_ADDRESSES,
  UNDERLAY_PREFIXES,
  type Underlay,
  UPLINK,
  underlayAddresses,
} from "./underlay.ts"

const LAN = "lan"

/** What stands between a host and the underlay. */
export interface RouterOptions {
  /** The host's addresses are hidden behind the router's (masquerade, both families). */
  readonly nat: boolean
}

export class Router {
  readonly netns: LabNetns
  readonly cable: Cable
  /** Addresses of the host behind it. */
  readonly inside: { readonly v4: string; readonly v6: string }
  readonly #prefixes: { readonly v4: string; readonly v6: string }

  private constructor(underlay: Underlay, host: LabNetns, number: number) {
    this.netns = new LabNetns(`r-${host.name}`)
    this.cable = underlay.attach(this.netns, number)
    const net4 = `198.51.100.${(number % 16) * 16}`
    const base = net4.slice(0, net4.lastIndexOf(".") + 1)
    const first = (number % 16) * 16
    const net6 = `2001:db8:0:${number.toString(16)}::`
    this.#prefixes = { v4: `${net4}/28`, v6: `${net6}/64` }
    this.inside = { v4: `${base}${first + 2}`, v6: `${net6}2` }
    const gateways = { v4: `${base}${first + 1}`, v6: `${net6}1` }
    this.netns.route.request(
      newVeth({ name: LAN, up: true, peer: { name: UPLINK, netnsFd: host.handle.fd } }),
    )
    this.netns.configure(LAN, [`${gateways.v4}/28`, `${gateways.v6}/64`])
    host.configure(UPLINK, [`${this.inside.v4}/28`, `${this.inside.v6}/64`])
    host.addRoutes(UPLINK, [
      { dst: "0.0.0.0/0", gateway: gateways.v4 },
      { dst: "::/0", gateway: gateways.v6 },
    ])
    this.netns.sysctl({ "ipv4/ip_forward": "1", "ipv6/conf/all/forwarding": "1" })
  }

  /**
   * Puts a host, which has no link yet, behind a router.
   *
   * @param number the router's own on the underlay
   */
  static async between(
    underlay: Underlay,
    host: LabNetns,
    number: number,
    options: RouterOptions,
  ): Promise<Router> {
    const router = new Router(underlay, host, number)
    if (options.nat) {
      await run(router.netns.command("nft", "-f", "-"), {
        input: `table inet nat {
  chain postrouting {
    type nat hook postrouting priority srcnat
    oifname "${UPLINK}" masquerade
  }
}`,
      })
      return router
    }
    const { v4, v6 } = underlayAddresses(number)
    underlay.announce({ dst: router.#prefixes.v4, gateway: v4 }, router.netns)
    underlay.announce({ dst: router.#prefixes.v6, gateway: v6 }, router.netns)
    return router
  }

  /**
   * Larger packets are refused, both ways, with an ICMP error that tells the sender: what path MTU
   * discovery is for.
   *
   * @param mtu bytes of an IP packet; undefined undoes it
   */
  async narrow(mtu: number | undefined): Promise<void> {
    const { v4, v6 } = TEST_ADDRESSES
    // `lock`: else a forwarding host heeds the link's MTU alone.
    const size = mtu === undefined ? "" : `mtu lock ${mtu}`
    const link = "proto kernel scope link"
    const link6 = "proto kernel metric 256"
    const routes = [
      `default via ${v4} dev ${UPLINK}`,
      `::/0 via ${v6} dev ${UPLINK}`,
      `${this.#prefixes.v4} dev ${LAN} ${link}`,
      `${this.#prefixes.v6} dev ${LAN} ${link6}`,
      `${UNDERLAY_PREFIXES.v4} dev ${UPLINK} ${link}`,
      `${UNDERLAY_PREFIXES.v6} dev ${UPLINK} ${link6}`,
    ]
    const lines = routes.map((route) => `route replace ${route} ${size}\n`)
    await run(this.netns.command("ip", "-batch", "-"), { input: lines.join("") })
  }

  /** Forgets what NAT remembers, as a router that was switched off and on. */
  async forget(): Promise<void> {
    await this.netns.run("conntrack", "-F")
  }

  /**
   * Another router in the place of this one: it has another address outside, gives UDP of ESP other
   * ports, and knows nothing of any connection. What still comes to the old address finds nobody.
   *
   * @param v4 the address, on the underlay
   * @param ports from where ESP in UDP is sent on: "first-last"
   */
  async move(v4: string, ports: string): Promise<void> {
    const { v4: gateway } = TEST_ADDRESSES
    await this.netns.run("ip", "-4", "address", "flush", "dev", UPLINK)
    this.netns.configure(UPLINK, [`${v4}/24`])
    this.netns.addRoutes(UPLINK, [{ dst: "0.0.0.0/0", gateway }])
    const chain = "inet nat postrouting"
    const out = `oifname "${UPLINK}"`
    await run(this.netns.command("nft", "-f", "-"), {
      input: `flush chain ${chain}
add rule ${chain} ${out} udp dport 4500 masquerade to :${ports}
add rule ${chain} ${out} masquerade
`,
    })
    await this.forget()
  }

  close(): void {
    this.netns.close()
  }
}

/**
 * The ESP path of the ipsec driver beside the same made by hand with iproute2, in one run on the same
 * two hosts: for the benchmarks, and not a test. The last line of its output is an {@link EspReport}.
 */
import { randomBytes } from "node:crypto"
import { overheadOf } from "../../src/core/overhead.ts"
import type { Driver, OverlayNetwork, OverlayPeer, OverlaySelf } from "../../src/drivers/driver.ts"
import { keyBytes } from "../../src/drivers/ipsec/ciphers.ts"
import { openIpsec } from "../../src/drivers/ipsec/ipsec_driver.ts"
import { type Summary, summarize } from "../bench/statistics.ts"
import { ClusterLab } from "./cluster_lab.ts"
import type { LabHost } from "./lab_host.ts"
import { ping } from "./ping.ts"
import { startTcp } from "./traffic.ts"

/** One way of the two. */
export interface EspPath {
  /** TCP's payload, megabytes a second, in each round. */
  readonly throughput: Summary
  /** Round trips of 84 bytes, milliseconds: the median of each turn. */
  readonly latency: Summary
}

/** What was measured. */
export interface EspReport {
  readonly cipher: string
  readonly ours: EspPath
  readonly byHand: EspPath
  /** Bytes of the largest packet that passes whole, on an underlay of 1500; sent for real. */
  readonly largest: number
  /** The underlay's own packet then, as it was seen on the wire. */
  readonly outer: number
  /** Of one TCP segment, bytes: as the driver has it, and with Rancher's fixed 98 bytes. */
  readonly segment: { readonly ours: number; readonly rancher: number }
}

const ROUNDS = 6
const TCP_MS = 3000
/** In each round 300 pings of each way, by turns: what else the machine does hits both alike. */
const TURNS = 6
const PINGS = 50
const CIPHER = "aes256gcm16"
const UNDERLAY_MTU = 1500
/** What Rancher takes off whatever the cipher: linkMTUOverhead of its 10-rancher.conf. */
const RANCHER_OVERHEAD = 98
const ETHERNET_HLEN = 14
const OURS: OverlayNetwork = {
  name: "ours",
  number: 3,
  subnets: ["10.42.0.0/16"],
  underlayMtu: UNDERLAY_MTU,
}
const NUMBERS: Readonly<Record<string, number>> = { a: 1, b: 2 }
const HAND_DEVICE = "hand0"
const HAND_IF_ID = "0x2a"

/** How a path's ends are called. */
const ADDRESSES = {
  ours: (name: string) => `10.42.${NUMBERS[name]}.254`,
  byHand: (name: string) => `10.43.${NUMBERS[name]}.254`,
} as const
type Which = keyof typeof ADDRESSES

class EspBench {
  readonly #lab: ClusterLab
  readonly #drivers: Driver[] = []
  readonly #throughput: Record<Which, number[]> = { ours: [], byHand: [] }
  readonly #latency: Record<Which, number[]> = { ours: [], byHand: [] }

  constructor(lab: ClusterLab) {
    this.#lab = lab
  }

  async run(): Promise<EspReport> {
    const mtu = overheadOf("ipsec", { outer: UNDERLAY_MTU, cipher: CIPHER, family: 4 }).mtu
    this.#prepareOurs()
    await this.#prepareByHand(mtu)
    const { largest, outer } = await this.#size(mtu)
    const segment = await this.#segments(mtu)
    for (let round = 0; round < ROUNDS; round++) await this.#round(round)
    for (const driver of this.#drivers) driver.close()
    const path = (which: Which): EspPath => ({
      throughput: summarize(this.#throughput[which]),
      latency: summarize(this.#latency[which]),
    })
    const [ours, byHand] = [path("ours"), path("byHand")]
    return { cipher: CIPHER, ours, byHand, largest, outer, segment }
  }

  #prepareOurs(): void {
    const [a, b] = [this.#lab.host("a"), this.#lab.host("b")]
    const key = () => Uint8Array.from(randomBytes(keyBytes(CIPHER)))
    const toA = { spi: 0x2_0001, key: key() }
    const toB = { spi: 0x1_0001, key: key() }
    for (const [own, other, inbound, outbound] of [
      [a, b, toA, toB],
      [b, a, toB, toA],
    ] as const) {
      const driver = own.netns.inside(() => openIpsec(OURS, { cipher: CIPHER }))
      this.#drivers.push(driver)
      const peers = new Map([[other.name, peerOf(other)]])
      driver.set({ self: selfOf(own), udp: false, peers, complete: false })
      driver.keyed?.setSaPairs(other.name, {
        saPairs: [{ inbound, outbound, send: true }],
        others: "drop",
      })
    }
  }

  /** The same associations and an XFRM interface, and the policies that they need. */
  async #prepareByHand(mtu: number): Promise<void> {
    const [a, b] = [this.#lab.host("a"), this.#lab.host("b")]
    const key = () => `0x${randomBytes(keyBytes(CIPHER)).toString("hex")}`
    const ways = [
      { from: a, to: b, spi: 101, key: key() },
      { from: b, to: a, spi: 102, key: key() },
    ]
    for (const [own, other] of [
      [a, b],
      [b, a],
    ] as const) {
      const ip = (text: string) => own.netns.run("ip", ...text.split(" "))
      const [inner, theirs] = [ADDRESSES.byHand(own.name), ADDRESSES.byHand(other.name)]
      await ip(`link add ${HAND_DEVICE} type xfrm if_id ${HAND_IF_ID}`)
      await ip(`link set ${HAND_DEVICE} mtu ${mtu} up`)
      await ip(`address add ${inner}/32 dev ${HAND_DEVICE}`)
      const block = blockOf(theirs)
      await ip(`route add ${block} dev ${HAND_DEVICE} src ${inner}`)
      for (const { from, to, spi, key } of ways) {
        await ip(
          `xfrm state add src ${from.v4} dst ${to.v4} proto esp spi ${spi} reqid 42 mode tunnel replay-window 4096 flag af-unspec esn aead rfc4106(gcm(aes)) ${key} 128 if_id ${HAND_IF_ID}`,
        )
      }
      const tunnel = (from: LabHost, to: LabHost) =>
        `tmpl src ${from.v4} dst ${to.v4} proto esp reqid 42 mode tunnel`
      const id = `if_id ${HAND_IF_ID}`
      await ip(`xfrm policy add src 0.0.0.0/0 dst ${block} dir out ${id} ${tunnel(own, other)}`)
      for (const direction of ["in", "fwd"]) {
        await ip(
          `xfrm policy add src ${block} dst 10.43.0.0/16 dir ${direction} ${id} ${tunnel(other, own)}`,
        )
      }
    }
  }

  /** @throws Error where a packet of that size does not pass whole, or one byte more does */
  async #size(mtu: number): Promise<{ largest: number; outer: number }> {
    const capture = this.#lab.capture(this.#lab.host("b"))
    const { netns } = this.#lab.host("a")
    const options = { dontFragment: true, timeoutMs: 2000 }
    const whole = await ping(netns, ADDRESSES.ours("b"), { ...options, size: mtu })
    const over = await ping(netns, ADDRESSES.ours("b"), { ...options, size: mtu + 1 })
    const { count, frames } = capture.stop()
    if (whole.received !== 1 || over.refused[0] !== "EMSGSIZE" || count.fragment > 0) {
      throw new Error(`${mtu} bytes: ${JSON.stringify({ whole, over, count })}`)
    }
    const lengths = (frames.get("esp") ?? []).map(({ length }) => length - ETHERNET_HLEN)
    return { largest: mtu, outer: Math.max(...lengths) }
  }

  /** What TCP puts into a packet, and the same with Rancher's MTU on the path by hand. */
  async #segments(mtu: number): Promise<EspReport["segment"]> {
    const set = async (value: number) => {
      for (const { netns } of this.#lab.hosts) {
        await netns.run("ip", "link", "set", HAND_DEVICE, "mtu", `${value}`)
      }
    }
    const { segmentBytes: ours } = await this.#tcp("ours", 500)
    await set(UNDERLAY_MTU - RANCHER_OVERHEAD)
    const { segmentBytes: rancher } = await this.#tcp("byHand", 500)
    await set(mtu)
    return { ours, rancher }
  }

  async #round(round: number): Promise<void> {
    const order: readonly Which[] = round % 2 === 0 ? ["ours", "byHand"] : ["byHand", "ours"]
    for (const which of order) {
      const { bytesPerSecond } = await this.#tcp(which, TCP_MS)
      this.#throughput[which].push(bytesPerSecond / 1e6)
    }
    for (let turn = 0; turn < TURNS; turn++) {
      for (const which of turn % 2 === 0 ? order : order.toReversed()) {
        this.#latency[which].push(await this.#pings(which))
      }
    }
    const both = (values: Record<Which, number[]>, count: number) =>
      [values.ours, values.byHand]
        .map((some) => summarize(some.slice(-count)).median.toFixed(3))
        .join(" and ")
    console.log(
      `round ${round + 1}: ours and by hand ${both(this.#throughput, 1)} MB/s, ${both(this.#latency, TURNS)} ms`,
    )
  }

  async #tcp(which: Which, ms: number) {
    const end = (name: string) => ({
      netns: this.#lab.host(name).netns,
      address: ADDRESSES[which](name),
    })
    const stream = await startTcp(end("a"), end("b"))
    await new Promise((resolve) => setTimeout(resolve, ms))
    const result = await stream.stop()
    if (!result.intact) throw new Error(`${which}: ${JSON.stringify(result)}`)
    return result
  }

  /** The median of a program's own measurement: nothing of this process is in it. */
  async #pings(which: Which): Promise<number> {
    const said = await this.#lab
      .host("a")
      .netns.run("ping", "-n", "-i", "0.002", "-c", `${PINGS}`, ADDRESSES[which]("b"))
    const times = [...said.matchAll(/ time=([0-9.]+) ms/g)].map(([, time]) => Number(time))
    if (times.length !== PINGS) throw new Error(`${which}: ${times.length} of ${PINGS} came back`)
    return summarize(times).median
  }
}

function blockOf(address: string): string {
  return address.replace(/\.\d+$/, ".0/24")
}

function selfOf(host: LabHost): OverlaySelf {
  const address = ADDRESSES.ours(host.name)
  return {
    hostId: host.name,
    underlay: [host.v4],
    overlay: [address],
    blocks: [blockOf(address)],
  }
}

function peerOf(host: LabHost): OverlayPeer {
  const number = NUMBERS[host.name] ?? 0
  return { ...selfOf(host), name: host.name, number, mtu: undefined, parameters: {} }
}

if (import.meta.main) {
  const lab = await ClusterLab.start({
    hosts: ["a", "b"],
    driver: "ipsec",
    agents: false,
    members: 0,
  })
  try {
    console.log(JSON.stringify(await new EspBench(lab).run()))
  } finally {
    await lab.close()
  }
}

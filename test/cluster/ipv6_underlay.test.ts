/** Hosts that reach each other and the store by IPv6: some of them have nothing else. */
import { afterAll, beforeAll, expect, test } from "bun:test"
import { join } from "node:path"
import type { PeerReport } from "../../src/agent/cluster/report.ts"
import type { StatusReport } from "../../src/agent/report.ts"
import { waitFor } from "../clients/program.ts"
import { ClusterLab } from "../vm/cluster_lab.ts"
import { transferTcp } from "../vm/traffic.ts"
import { TEST_ADDRESSES, UPLINK } from "../vm/underlay.ts"
import { EtcdCluster } from "./etcd.ts"

/** How long others may take to follow. It takes about a second; the machine is shared. */
const FOLLOWED_MS = 10_000

let lab: ClusterLab
let etcd: EtcdCluster

beforeAll(async () => {
  lab = await ClusterLab.start({
    hosts: ["a", "b", "both", "moves"],
    driver: "vxlan",
    members: 0,
    agents: false,
  })
  etcd = await EtcdCluster.start(join(lab.directory, "etcd"), { address: TEST_ADDRESSES.v6 })
  for (const host of lab.hosts) {
    if (host.name !== "both") {
      await host.netns.run("ip", "-4", "address", "flush", "dev", UPLINK)
    }
    const { settings } = host.options
    host.options = {
      ...host.options,
      settings: {
        ...settings,
        hostIp: host.name === "moves" ? '""' : `"${host.v6}"`,
        store: etcd.urls.join(","),
      },
    }
    await host.startAgent()
  }
}, 60_000)

afterAll(async () => {
  await etcd?.stop()
  await lab?.close()
})

test("containers of both families reach each other, at full size", async () => {
  for (const host of lab.hosts) {
    await host.until<PeerReport[]>("peers", (peers) => {
      const up = peers.filter(({ paths }) => paths[0]?.state === "up")
      return (
        up.length === lab.hosts.length - 1 &&
        up.every(({ address }) => address?.startsWith("2001:db8:"))
      )
    })
  }
  const [first, ...others] = await Promise.all(lab.hosts.map((host) => host.attach("inside")))
  if (first === undefined) throw new Error("the lab has no host")
  // 1,500 less IPv6, UDP, VXLAN and Ethernet (RFC 8200 §3, RFC 768, RFC 7348 §5).
  expect(first.mtu).toBe(1500 - 40 - 8 - 8 - 14)
  for (const other of others) {
    for (const address of [other.v4, other.v6]) {
      const whole = { dontFragment: true, size: first.mtu }
      expect(await first.ping(address, whole)).toMatchObject({ received: 1 })
    }
    expect(await transferTcp(first.place(4), other.place(4), 500_000)).toMatchObject({
      intact: true,
    })
  }
}, 60_000)

test("a host that has IPv6 alone is followed to another address", async () => {
  const [a, moves] = [lab.host("a"), lab.host("moves")]
  const [inside, other] = [a.containers.get("inside"), moves.containers.get("inside")]
  if (inside === undefined || other === undefined) throw new Error("nothing is attached")
  const moved = `${moves.v6}77`
  const set = (verb: string, address: string) =>
    moves.netns.run("ip", "address", verb, `${address}/64`, "dev", UPLINK, "nodad")
  await set("delete", moves.v6)
  await set("add", moved)
  const follows = (peers: PeerReport[]) => peers.some(({ address }) => address === moved)
  await a.until<PeerReport[]>("peers", follows, FOLLOWED_MS)
  const reached = async () => ((await inside.ping(other.v4)).received > 0 ? true : undefined)
  await waitFor("an answer", reached, FOLLOWED_MS)
  const { host, problems } = await moves.ask<StatusReport>("status")
  expect(host.ip).toBe(moved)
  expect(problems).toEqual([])
}, 60_000)

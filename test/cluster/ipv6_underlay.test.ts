/** Hosts that reach each other and the store by IPv6: some of them have nothing else. */
import { afterAll, beforeAll, expect, test } from "bun:test"
import { join } from "node:path"
import type { PeerReport } from "../../src/agent/cluster/report.ts"
import { ClusterLab } from "../vm/cluster_lab.ts"
import { transferTcp } from "../vm/traffic.ts"
import { TEST_ADDRESSES, UPLINK } from "../vm/underlay.ts"
import { EtcdCluster } from "./etcd.ts"

let lab: ClusterLab
let etcd: EtcdCluster

beforeAll(async () => {
  lab = await ClusterLab.start({
    hosts: ["a", "b", "both"],
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
      settings: { ...settings, hostIp: `"${host.v6}"`, store: etcd.urls.join(",") },
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
      return up.length === 2 && up.every(({ address }) => address?.startsWith("2001:db8:"))
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

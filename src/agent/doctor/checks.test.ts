import { describe, expect, test } from "bun:test"
import type { StatusReport } from "../report.ts"
import { examine } from "./checks.ts"
import type { Finding } from "./finding.ts"
import type { HostView, ViewedLink } from "./host_view.ts"

const agent = {
  agent: { version: "1", pid: 7 },
  problems: [],
  networks: [],
  endpoints: { attached: 1, attaching: 0, detaching: 0 },
  cluster: { store: { kind: "etcd", endpoint: "e", reachable: true, reason: null } },
} as unknown as StatusReport

const bridge: ViewedLink = {
  name: "docker0",
  index: 3,
  kind: "bridge",
  mtu: 1446,
  master: 0,
  addresses: ["10.42.0.1/16"],
}

const healthy: HostView = {
  features: { nftables: true, veth: true, bridge: true, esp: true, xfrmInterface: true },
  sysctls: new Map([["net/ipv4/ip_forward", "1"]]),
  links: [bridge, { ...bridge, name: "lrta", index: 4, kind: "veth", master: 3, addresses: [] }],
  routes: [
    { dst: "0.0.0.0/0", link: "eth0" },
    { dst: "10.42.0.0/16", link: "docker0" },
    { dst: "10.42.7.0/24", link: "lrx0" },
    { dst: "10.42.0.0/16", link: undefined },
  ],
  networks: [{ name: "ipsec", driver: "ipsec", subnets: ["10.42.0.0/16"] }],
  agent,
  isUplinkList: false,
  services: {
    dns: { at: "169.254.169.250", state: "ok" },
    upstreams: [{ at: "192.0.2.53", state: "ok" }],
    metadata: { at: "169.254.169.250", state: "ok" },
  },
  now: 2,
  notBefore: 1,
}

function wrong(view: Partial<HostView>): Finding[] {
  return examine({ ...healthy, ...view }).filter(({ state }) => state !== "ok")
}

test("a healthy host has each check passed and nothing else", () => {
  const findings = examine(healthy)
  expect(findings.map(({ state }) => state)).toEqual(findings.map(() => "ok"))
  const checks = ["agent", "kernel", "sysctl", "overlap", "mtu", "clock", "store"]
  const services = ["dns", "upstream", "metadata"]
  expect(findings.map(({ check }) => check)).toEqual([...checks, ...services])
})

describe("each fault is found, alone, with a way to mend it", () => {
  const eth0: ViewedLink = { ...bridge, name: "eth0", index: 2, kind: "", addresses: [] }
  const faults: [string, Partial<HostView>, Partial<Finding>][] = [
    ["no agent", { agent: { away: "no socket" } }, { check: "agent", state: "error" }],
    ["no ESP", { features: { ...healthy.features, esp: false } }, { check: "kernel" }],
    [
      "no XFRM interfaces",
      { features: { ...healthy.features, xfrmInterface: false } },
      {
        check: "kernel",
        what: "this kernel has no XFRM interfaces: the ipsec driver does not work",
      },
    ],
    ["no way to try", { features: {} }, { check: "kernel", state: "warning" }],
    [
      "no IPv6 for an IPv6 subnet",
      {
        features: { ...healthy.features, ipv6: false },
        networks: [{ name: "n", driver: "none", subnets: ["fd00::/64"] }],
      },
      { check: "kernel", state: "error" },
    ],
    [
      "no forwarding",
      { sysctls: new Map([["net/ipv4/ip_forward", "0"]]) },
      { check: "sysctl", state: "error" },
    ],
    [
      "strict reverse path filter",
      { sysctls: new Map([["net/ipv4/conf/all/rp_filter", "1"]]) },
      { check: "sysctl", state: "warning" },
    ],
    [
      "bridged packets in iptables",
      { sysctls: new Map([["net/bridge/bridge-nf-call-iptables", "1"]]) },
      { check: "sysctl", state: "warning" },
    ],
    [
      "the subnet on two bridges",
      { links: [...healthy.links, { ...bridge, name: "br1", index: 9 }] },
      { check: "overlap", state: "error" },
    ],
    [
      "the host's own address in the subnet",
      { links: [...healthy.links, { ...eth0, addresses: ["10.42.9.9/24"] }] },
      { check: "overlap", state: "error" },
    ],
    [
      "another's route into the subnet",
      { routes: [{ dst: "10.0.0.0/8", link: "tun0" }] },
      { check: "overlap", state: "error" },
    ],
    [
      "a bridge larger than its port",
      { links: [{ ...bridge, mtu: 1500 }, ...healthy.links.slice(1)] },
      { check: "mtu", state: "warning", hint: "ip link set docker0 mtu 1446" },
    ],
    ["a clock of 1970", { now: 0 }, { check: "clock", state: "warning" }],
    [
      "the store away",
      {
        agent: {
          ...agent,
          cluster: { store: { kind: "etcd", endpoint: "e", reachable: false, reason: "r" } },
        } as unknown as StatusReport,
      },
      { check: "store", state: "error" },
    ],
  ]
  test.each(faults)("%s", (_, view, expected) => {
    const found = wrong(view)
    expect(found).toHaveLength(1)
    expect(found[0]).toMatchObject(expected)
    expect(found[0]?.hint).toBeDefined()
  })
})

test("what reaches other hosts is no error on a host alone", () => {
  const features = { ...healthy.features, esp: false }
  const alone = { ...agent, cluster: null } as unknown as StatusReport
  const kernel = (view: Partial<HostView>) =>
    wrong(view).find(({ check }) => check === "kernel")?.state
  expect(kernel({ features })).toBe("error")
  expect(kernel({ features, agent: alone })).toBe("warning")
})

test("the agent's own problems come first, errors before warnings", () => {
  const problems = [
    { severity: "warning", what: "w" },
    { severity: "error", what: "e", hint: "do" },
  ] as const
  const found = wrong({ agent: { ...agent, problems } })
  expect(found).toEqual([
    { check: "agent", state: "error", what: "e", hint: "do" },
    { check: "agent", state: "warning", what: "w", hint: undefined },
  ])
})

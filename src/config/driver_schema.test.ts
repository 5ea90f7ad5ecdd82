import { describe, expect, test } from "bun:test"
import { driver, load } from "../../test/fixtures/config/loading.ts"

describe("each key of network_driver", () => {
  const network = (text: string) => load(driver({ network: text }))
  const cases: [string, object][] = [
    ["host_ports: true", { hostPorts: true }],
    ["host_ports: 'true'", { hostPorts: true }],
    ["host_ports: yes", { hostPorts: true }],
    ["host_ports: 'false'", { hostPorts: false }],
    ["{}", { hostPorts: false, subnets: [], dns: [], dnsSearch: [], policy: [] }],
    ["subnets:", { subnets: [] }],
    ["subnets: [{}]", { subnets: [{ cidr: "10.44.0.0/16" }] }],
    [
      "subnets: [{network_address: 10.9.0.0, cidr_size: '20'}]",
      { subnets: [{ cidr: "10.9.0.0/20" }] },
    ],
    ["dns: [10.0.0.1, 'FD00::1']", { dns: ["10.0.0.1", "fd00::1"] }],
    ["dns: 10.0.0.1", { dns: ["10.0.0.1"] }],
    ["dns_search: [a.b, c]", { dnsSearch: ["a.b", "c"] }],
    ["metadata: {a: 1, b: {c: [x]}}", { metadata: { a: 1, b: { c: ["x"] } } }],
    ["mac_prefix: 02:00:01", { macPrefix: "02:00:01" }],
    ["mac_prefix: 06-AA-bb", { macPrefix: "06:aa:bb" }],
    ["default_policy_action: deny", { defaultPolicyAction: "deny" }],
    [
      "policy: [{between: {groupBy: io.x}, action: allow}, {from: {selector: a=b}, to: {selector: c=d}, ports: [80/tcp], action: deny}]",
      { policy: [{ between: { groupBy: "io.x" } }, { from: { selector: "a=b" }, action: "deny" }] },
    ],
  ]
  test.each(cases)("%s", (text, expected) => {
    const { networks, said } = network(text === "{}" ? "" : text)
    expect(said).toEqual([])
    expect(networks[0]).toMatchObject(expected)
  })

  test("name and driver", () => {
    expect(load(driver({ driver: "driver: vxlan" })).networks[0]).toMatchObject({
      driver: "vxlan",
      driverName: "one",
    })
    expect(load(driver({ driver: "name: My IPsec" })).networks[0]).toMatchObject({
      driver: "ipsec",
      driverName: "My IPsec",
    })
  })

  test("network_metadata lies over metadata", () => {
    const text = driver({
      network: "metadata: {a: 1, b: 2}",
      driver: "network_metadata: {b: 3, c: 4}",
    })
    expect(load(text).networks[0]?.metadata).toEqual({ a: 1, b: 3, c: 4 })
  })

  test.each([
    [
      "host_ports: maybe",
      'f.yml:6:19: error: default_network.host_ports must be true or false, is "maybe"',
    ],
    ["subnets: {}", "f.yml:6:16: error: default_network.subnets must be a list, is a map"],
    ["subnets: [5]", "f.yml:6:17: error: default_network.subnets[0] must be a map, is 5"],
    [
      "subnets:\n- network_address: 10.42.0.0/16\n  gateway: 10.43.0.1",
      "f.yml:8:18: error: gateway 10.43.0.1 is outside of 10.42.0.0/16",
    ],
    [
      "subnets:\n- network_adress: 10.42.0.0/16",
      "f.yml:7:9: warning: default_network.subnets[0].network_adress is not a known key, it is ignored, did you mean network_address",
    ],
    [
      "subnets: [{cidr_size: 7}]",
      "f.yml:6:29: error: default_network.subnets[0].cidr_size must be a whole number from 8 to 126, is 7",
    ],
    [
      "dns: [one]",
      'f.yml:6:13: error: default_network.dns[0] must be an IP address, is "one", character "o" at position 1',
    ],
    [
      "dns_search: 5",
      "f.yml:6:19: error: default_network.dns_search must be a list of texts, is 5",
    ],
    ["metadata: [x]", "f.yml:6:17: error: default_network.metadata must be a map, is a list"],
    [
      "mac_prefix: 02:00",
      'f.yml:6:19: error: mac_prefix "02:00" is not three octets, write it as 02:00:01',
    ],
    ["mac_prefix: 01:00:5e", "f.yml:6:19: error: mac_prefix 01:00:5e is that of group addresses"],
    ["mac_prefix: 00:16:3e", "f.yml:6:19: warning: mac_prefix 00:16:3e belongs to a manufacturer"],
    [
      "default_policy_action: drop",
      'f.yml:6:30: error: default_network.default_policy_action must be allow or deny, is "drop"',
    ],
    [
      "policy: [{action: allow}]",
      "f.yml:6:16: error: a rule says within, or between, or both from and to",
    ],
    [
      "policy: [{within: stack, from: {selector: a}, to: {selector: b}, action: allow}]",
      "f.yml:6:16: error: a rule says within",
    ],
    [
      "policy: [{within: world, action: allow}]",
      "f.yml:6:25: error: default_network.policy[0].within must be stack, service or linked",
    ],
    [
      "hostPorts: true",
      "f.yml:6:7: warning: default_network.hostPorts is not a known key, it is ignored, did you mean host_ports",
    ],
  ])("%j: %s", (text, line) => {
    expect(network(text).said.join("\n")).toContain(line)
  })

  test("a network without a name", () => {
    const { networks, said } = load("a: {network_driver: {default_network: {}, cni_config: {}}}")
    expect(said).toEqual(["f.yml:1:22: error: default_network.name is missing"])
    expect(networks).toEqual([])
  })

  test("a driver of an unknown kind", () => {
    expect(load(driver({ driver: "driver: geneve" })).said).toEqual([
      'f.yml:3:13: error: driver must be ipsec, vxlan, routed, wireguard or none, is "geneve"',
    ])
  })
})

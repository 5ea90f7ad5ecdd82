import { describe, expect, test } from "bun:test"
import type { Netconf } from "./netconf.ts"
import { parseNetconf } from "./parse.ts"

const BASE = { name: "net", type: "rancher-bridge" }

function parse(changes: object) {
  const { conf, problems } = parseNetconf({ ...BASE, ...changes })
  return { conf, said: problems.map(({ severity, message }) => `${severity}: ${message}`) }
}

test("a configuration that says nothing gets the defaults", () => {
  expect(parse({})).toEqual({
    conf: {
      cniVersion: "0.1.0",
      name: "net",
      type: "rancher-bridge",
      bridge: "cni0",
      bridgeSubnets: [],
      bridgeIPs: [],
      useBridgeIPAsGateway: false,
      isGateway: false,
      isDefaultGateway: false,
      ipMasq: false,
      hostNat: false,
      mtu: 0,
      linkMTUOverhead: "auto",
      antiSpoofing: true,
      hairpinMode: false,
      promiscMode: false,
      skipBridgeConfigureIP: false,
      ipam: undefined,
      dns: undefined,
      runtimeConfig: {
        ips: [],
        mac: undefined,
        dns: undefined,
        aliases: [],
        portMappings: [],
        bandwidth: undefined,
        labels: undefined,
      },
      prevResult: undefined,
      validAttachments: undefined,
    },
    said: [],
  })
})

describe("each key", () => {
  const cases: [object, Partial<Netconf>][] = [
    [{ cniVersion: "1.1.0" }, { cniVersion: "1.1.0" }],
    [{ bridge: "docker0" }, { bridge: "docker0" }],
    [
      { bridgeSubnet: "10.42.0.0/16" },
      { bridgeSubnets: ["10.42.0.0/16"], bridgeIPs: ["10.42.0.1/16"] },
    ],
    [
      { bridgeSubnet: ["10.42.7.7/16", "FD00:42::/64"] },
      {
        bridgeSubnets: ["10.42.0.0/16", "fd00:42::/64"],
        bridgeIPs: ["10.42.0.1/16", "fd00:42::1/64"],
      },
    ],
    [
      { bridgeSubnet: "10.42.0.0/16, fd00:42::/64" },
      {
        bridgeSubnets: ["10.42.0.0/16", "fd00:42::/64"],
        bridgeIPs: ["10.42.0.1/16", "fd00:42::1/64"],
      },
    ],
    [
      { bridgeSubnet: "10.42.0.0/16", bridgeIP: "10.42.0.9" },
      { bridgeSubnets: ["10.42.0.0/16"], bridgeIPs: ["10.42.0.9/16"] },
    ],
    [
      { bridgeSubnet: "10.42.0.0/16", bridgeIP: "10.42.0.9/24" },
      { bridgeSubnets: ["10.42.0.0/16"], bridgeIPs: ["10.42.0.9/16"] },
    ],
    [{ bridgeIP: ["10.42.0.9/24"] }, { bridgeIPs: ["10.42.0.9/24"] }],
    [
      { bridgeSubnet: "10.42.0.1/32" },
      { bridgeSubnets: ["10.42.0.1/32"], bridgeIPs: ["10.42.0.1/32"] },
    ],
    [
      { mtu: "1500", linkMTUOverhead: "98" },
      { mtu: 1500, linkMTUOverhead: 98 },
    ],
    [
      { mtu: 1500, linkMTUOverhead: 0 },
      { mtu: 1500, linkMTUOverhead: 0 },
    ],
    [{ linkMTUOverhead: "auto" }, { linkMTUOverhead: "auto" }],
    [{ isDefaultGateway: true }, { isGateway: true, isDefaultGateway: true }],
    [
      { isGateway: false, isDefaultGateway: true },
      { isGateway: true, isDefaultGateway: true },
    ],
    // Taken and not used: the agent has a log of its own.
    [{ logToFile: "/var/log/x", isDebugLevel: "true" }, {}],
    [{ agentSocket: "/run/x.sock" }, {}],
    [{ forceAddress: true, skipFastPath: "true" }, {}],
    [
      { prevResult: { cniVersion: "1.0.0", ips: [] } },
      { prevResult: { cniVersion: "1.0.0", ips: [] } },
    ],
    [
      { dns: { nameservers: ["10.0.0.53"], domain: "d", search: ["s"], options: ["ndots:1"] } },
      { dns: { nameservers: ["10.0.0.53"], domain: "d", search: ["s"], options: ["ndots:1"] } },
    ],
    [{ dns: {} }, { dns: { nameservers: [], domain: undefined, search: [], options: [] } }],
    [
      { "cni.dev/valid-attachments": [{ containerID: "c", ifname: "eth0", more: 1 }] },
      { validAttachments: [{ containerID: "c", ifname: "eth0" }] },
    ],
    [
      { "cni.dev/attachments": [{ containerID: "c", ifname: "eth0" }] },
      { validAttachments: [{ containerID: "c", ifname: "eth0" }] },
    ],
    [{ "cni.dev/valid-attachments": null }, { validAttachments: [] }],
    [{ "cni.dev/attachments": null }, { validAttachments: [] }],
    [
      { capabilities: { ips: true }, cniVersions: ["1.0.0"], disableCheck: true, disableGC: false },
      {},
    ],
    // Null and the empty text mean: not said.
    [
      {
        cniVersion: "",
        bridge: "",
        bridgeSubnet: "",
        bridgeIP: "",
        mtu: "",
        linkMTUOverhead: "",
        logToFile: "",
        hairpinMode: "",
        ipam: {},
        prevResult: null,
        dns: null,
        runtimeConfig: null,
        args: null,
      },
      {},
    ],
  ]
  test.each(cases)("%j gives %j", (said, expected) => {
    const { conf } = parse({})
    expect(parse(said)).toEqual({ conf: { ...conf, ...expected } as Netconf, said: [] })
  })
})

describe("ipam", () => {
  const ipam = (keys: object) => parse({ ipam: { type: "rancher-cni-ipam", ...keys } })

  test.each(["/16", "16", 16])("subnetPrefixSize %p", (subnetPrefixSize) => {
    expect(ipam({ subnetPrefixSize }).conf?.ipam?.subnetPrefixSize).toBe(16)
  })

  test("has defaults", () => {
    expect(ipam({})).toMatchObject({
      conf: { ipam: { type: "rancher-cni-ipam", routes: [], ranges: [] } },
      said: [],
    })
    expect(ipam({}).conf?.ipam?.subnetPrefixSize).toBeUndefined()
  })

  test("takes routes", () => {
    const routes = [{ dst: "0.0.0.0/0", gw: "10.42.0.1", mtu: 1400 }, { dst: "169.254.169.250/32" }]
    expect(ipam({ routes }).conf?.ipam?.routes).toMatchObject(routes)
  })

  test("takes the keys of host-local, in both forms", () => {
    const { conf, said } = ipam({
      subnet: "10.1.0.9/24",
      rangeStart: "10.1.0.10",
      gateway: "",
      ranges: [[{ subnet: "fd00::/64" }], [{ subnet: "10.2.0.0/24", rangeEnd: "10.2.0.7" }]],
      dataDir: "/x",
    })
    expect(said).toEqual([])
    expect(conf?.ipam?.ranges).toMatchObject([
      { subnet: "10.1.0.0/24", rangeStart: "10.1.0.10", gateway: undefined },
      { subnet: "fd00::/64" },
      { subnet: "10.2.0.0/24", rangeEnd: "10.2.0.7" },
    ])
  })

  test("of another plugin is that plugin's own", () => {
    const { conf, said } = parse({ ipam: { type: "dhcp", routes: "odd", daemonSocketPath: "/x" } })
    expect(said).toEqual([])
    expect(conf?.ipam).toMatchObject({ type: "dhcp", routes: [], ranges: [] })
  })

  test.each([
    [
      { subnetPrefixSize: "/x" },
      'error: ipam.subnetPrefixSize must be a whole number from 0 to 128, is "/x"',
    ],
    [
      { subnetPrefixSize: 129 },
      "error: ipam.subnetPrefixSize must be a whole number from 0 to 128, is 129",
    ],
    [{ routes: {} }, "error: ipam.routes must be a list, is a map"],
    [{ routes: [{ gw: "10.0.0.1" }] }, "error: ipam.routes[0].dst is missing"],
    [
      { routes: [{ dst: "0.0.0.0" }] },
      'error: ipam.routes[0].dst must be a subnet such as 10.42.0.0/16, is "0.0.0.0"',
    ],
    [
      { subnet: "10.1.0.0/24", rangeStart: "10.2.0.1" },
      "error: ipam.rangeStart 10.2.0.1 is outside of subnet 10.1.0.0/24",
    ],
    [{ rangeEnd: "10.2.0.1" }, "warning: ipam.rangeEnd is there without a subnet"],
    [
      { ranges: [[{ subnet: "10.1.0.0/24", gateway: "10.2.0.1" }]] },
      "error: ipam.ranges[0][0].gateway 10.2.0.1 is outside of subnet 10.1.0.0/24",
    ],
    [{ subnetPrefixSiz: 16 }, "warning: ipam.subnetPrefixSiz is not a known key, it is ignored"],
  ])("%j: %s", (keys, message) => {
    expect(ipam(keys).said).toContain(message)
  })
})

describe("what the runtime adds", () => {
  test("runtimeConfig of each capability", () => {
    const { conf, said } = parse({
      runtimeConfig: {
        ips: ["10.42.0.9/16", "FD00::9"],
        mac: "02:00:01:AA:BB:CC",
        dns: { servers: ["10.0.0.53"], searches: ["a.b"], options: ["ndots:2"] },
        aliases: ["web", "www"],
        portMappings: [
          { hostPort: 8080, containerPort: 80, protocol: "TCP", hostIP: "" },
          { hostPort: 53, containerPort: 53, protocol: "tcp,udp", hostIP: "127.0.0.1" },
          { hostPort: 0, containerPort: 9 },
        ],
        bandwidth: { ingressRate: 1000, ingressBurst: 2000, egressRate: null },
        ipRanges: [[{ subnet: "10.1.0.0/24" }], []],
        "io.kubernetes.cri.pod-annotations": { a: "b" },
      },
    })
    expect(said).toEqual([])
    expect(conf?.runtimeConfig).toEqual({
      ips: ["10.42.0.9/16", "fd00::9"],
      mac: "02:00:01:aa:bb:cc",
      dns: { nameservers: ["10.0.0.53"], domain: undefined, search: ["a.b"], options: ["ndots:2"] },
      aliases: ["web", "www"],
      portMappings: [
        { hostPort: 8080, containerPort: 80, protocol: "tcp", hostIP: undefined },
        { hostPort: 53, containerPort: 53, protocol: "tcp", hostIP: "127.0.0.1" },
        { hostPort: 53, containerPort: 53, protocol: "udp", hostIP: "127.0.0.1" },
      ],
      bandwidth: { ingressRate: 1000, ingressBurst: 2000 },
      labels: undefined,
    })
  })

  test("args.cni is merged in, each address once", () => {
    const { conf } = parse({
      runtimeConfig: { ips: ["10.42.0.9/16"] },
      args: {
        cni: { ips: ["10.42.0.9/16", "10.42.0.10"], labels: [{ key: "app", value: "web" }] },
        other: 5,
      },
    })
    expect(conf?.runtimeConfig.ips).toEqual(["10.42.0.9/16", "10.42.0.10"])
    expect(conf?.runtimeConfig.labels).toEqual({ app: "web" })
  })

  test("aliases may come by network, as Podman gives them", () => {
    const aliases = { net: ["web"], other: ["x"] }
    expect(parse({ runtimeConfig: { aliases } }).conf?.runtimeConfig.aliases).toEqual(["web"])
    expect(parse({ runtimeConfig: { aliases: {} } }).conf?.runtimeConfig.aliases).toEqual([])
  })

  test.each([
    [
      { ips: ["10.42.0.300"] },
      'error: runtimeConfig.ips[0] must be an IP address, with a prefix length or without, is "10.42.0.300"',
    ],
    [{ ips: 5 }, "error: runtimeConfig.ips must be a list of texts, is 5"],
    [{ mac: "zz" }, 'error: runtimeConfig.mac must be a MAC address, is "zz"'],
    [
      { mac: "01:00:5e:00:00:01" },
      'error: runtimeConfig.mac must be a MAC address, is "01:00:5e:00:00:01"',
    ],
    [
      { portMappings: [{ hostPort: 70_000, containerPort: 1 }] },
      "error: runtimeConfig.portMappings[0].hostPort must be a whole number from 0 to 65535, is 70000",
    ],
    [
      { portMappings: [{ hostPort: 1, containerPort: 1, protocol: "gre" }] },
      'error: runtimeConfig.portMappings[0].protocol must be tcp, udp or sctp, is "gre"',
    ],
    [{ portMappings: [5] }, "error: runtimeConfig.portMappings[0] must be a map, is 5"],
    [
      { portMappings: [{ containerPort: 1 }] },
      "error: runtimeConfig.portMappings[0].hostPort is missing",
    ],
    [
      { bandwidth: { ingressRate: -1 } },
      "error: runtimeConfig.bandwidth.ingressRate must be a whole number from 0 to 9007199254740991, is -1",
    ],
    [{ aliases: [5] }, "error: runtimeConfig.aliases must be a list of texts, is a list"],
    [
      { dns: { servers: ["x"] } },
      'error: runtimeConfig.dns.servers[0] must be an IP address, is "x"',
    ],
    [{ ipRanges: [{}] }, "error: runtimeConfig.ipRanges[0] must be a list, is a map"],
  ])("%j: %s", (runtimeConfig, message) => {
    expect(parse({ runtimeConfig })).toEqual({ conf: undefined, said: [message] })
  })
})

describe("what is wrong", () => {
  test.each([
    [{ name: "" }, 'error: name must not be empty, is ""'],
    [{ name: undefined }, "error: name is missing"],
    [{ name: "../x" }, "error: name must begin with a letter or digit"],
    [{ name: 5 }, "error: name must be text, is 5"],
    [{ type: undefined }, "error: type is missing"],
    [{ type: 5 }, "error: type must be text, is 5"],
    [{ cniVersion: 1 }, "error: cniVersion must be text, is 1"],
    [{ bridge: "a/b" }, "error: bridge must be an interface name"],
    [{ bridge: "sixteen-chars-xx" }, "error: bridge must be an interface name"],
    [{ bridge: ".." }, "error: bridge must be an interface name"],
    [
      { bridgeSubnet: "10.42.0.0" },
      "error: bridgeSubnet must be a subnet such as 10.42.0.0/16, is",
    ],
    [{ bridgeSubnet: 5 }, "error: bridgeSubnet must be a list of texts, is 5"],
    [
      { bridgeSubnet: "10.42.0.0/16", bridgeIP: "10.43.0.1" },
      "error: bridgeIP 10.43.0.1 is not inside bridgeSubnet",
    ],
    [
      { bridgeIP: "10.43.0.1" },
      "error: bridgeIP 10.43.0.1 has no prefix length and there is no bridgeSubnet",
    ],
    [{ mtu: "big" }, 'error: mtu must be a whole number from 0 to 65535, is "big"'],
    [{ mtu: 1.5 }, "error: mtu must be a whole number from 0 to 65535, is 1.5"],
    [{ mtu: -1 }, "error: mtu must be a whole number"],
    [{ mtu: 65_536 }, "error: mtu must be a whole number"],
    [{ linkMTUOverhead: "some" }, "error: linkMTUOverhead must be a whole number"],
    [{ linkMTUOverhead: -5 }, "error: linkMTUOverhead must be a whole number"],
    [
      { hairpinMode: true, promiscMode: "true" },
      "error: cannot set both hairpinMode and promiscMode",
    ],
    [{ ipam: "x" }, 'error: ipam must be a map, is "x"'],
    [{ ipam: { type: 5 } }, "error: ipam.type must be text, is 5"],
    [{ prevResult: [] }, "error: prevResult must be a map, is an empty list"],
    [{ dns: [] }, "error: dns must be a map, is an empty list"],
    [
      { dns: { nameservers: ["one"] } },
      'error: dns.nameservers[0] must be an IP address, is "one"',
    ],
    [{ runtimeConfig: [] }, "error: runtimeConfig must be a map"],
    [{ args: { cni: { ips: ["x"] } } }, "error: args.cni.ips[0] must be an IP address"],
    [
      { "cni.dev/valid-attachments": {} },
      "error: cni.dev/valid-attachments must be a list, is a map",
    ],
    [
      { "cni.dev/valid-attachments": [{ containerID: "c" }] },
      "error: cni.dev/valid-attachments[0].ifname is missing",
    ],
  ])("%j: %s", (changes, message) => {
    const { conf, said } = parse(changes)
    expect(conf).toBeUndefined()
    expect(said.join("\n")).toContain(message)
    expect(said).toHaveLength(1)
  })

  test.each([[null], [undefined], [5], ["text"], [[]], [true]])("%p is no configuration", (raw) => {
    const { conf, problems } = parseNetconf(raw)
    expect(conf).toBeUndefined()
    expect(problems).toHaveLength(1)
    expect(problems[0]?.message).toStartWith("the network configuration must be a map, is")
  })

  test("errors never stop at the first", () => {
    const { said } = parse({
      mtu: "x",
      bridge: "a b",
      ipam: { type: "lariat-cni", routes: 5 },
      isGateway: [],
    })
    expect(said).toHaveLength(4)
  })

  test("the reader's own reason is the hint", () => {
    const { problems } = parseNetconf({ ...BASE, bridgeSubnet: "10.042.0.0/16" })
    expect(problems[0]?.hint).toBe("a number has a leading zero")
  })
})

describe("unknown keys", () => {
  test("are warnings, with what was meant", () => {
    const { conf, problems } = parseNetconf({
      ...BASE,
      'hairpinMode"': true,
      hairpinMode: true,
      zzz: 1,
    })
    expect(conf?.hairpinMode).toBe(true)
    expect(problems).toMatchObject([
      {
        severity: "warning",
        path: ['hairpinMode"'],
        hint: "did you mean hairpinMode, which is there too and is used",
        atKey: true,
      },
      { severity: "warning", path: ["zzz"], hint: undefined },
    ])
  })

  test("that belong elsewhere are said to", () => {
    const { problems } = parseNetconf({ ...BASE, subnetPrefixSize: "/16" })
    expect(problems[0]?.hint).toBe("did you mean ipam.subnetPrefixSize")
  })

  test("in another case count, as they do for Go, all the way down", () => {
    const raw = {
      ...BASE,
      MTU: 1400,
      IPAM: { type: "rancher-cni-ipam", subnetprefixsize: 16, odd: 1 },
    }
    const { conf, problems } = parseNetconf(raw)
    expect(conf?.mtu).toBe(1400)
    expect(problems[0]).toMatchObject({ message: "MTU is taken for mtu", hint: "write mtu" })
    expect(conf?.ipam).toMatchObject({ type: "rancher-cni-ipam", subnetPrefixSize: 16 })
  })

  test("by the thousand are told in part", () => {
    const many = Object.fromEntries(Array.from({ length: 10_000 }, (_, i) => [`key${i}`, i]))
    const { conf, problems } = parseNetconf({ ...BASE, ...many })
    expect(conf).toBeDefined()
    expect(problems.length).toBeLessThanOrEqual(50)
  })

  test("never touch a prototype", () => {
    const raw: unknown = JSON.parse(
      '{"name":"n","type":"rancher-bridge","__proto__":{"mtu":9},"constructor":{"prototype":{"x":1}}}',
    )
    const { conf, problems } = parseNetconf(raw)
    expect(conf?.mtu).toBe(0)
    expect(problems.map(({ path }) => path)).toEqual([["__proto__"], ["constructor"]])
    expect("x" in {}).toBe(false)
  })
})

describe("another plugin that calls for its addresses", () => {
  test("has only the keys that concern them read", () => {
    const { conf, problems } = parseNetconf({
      cniVersion: "1.0.0",
      name: "n",
      type: "bridge",
      bridge: "some-very-long-bridge-name",
      mtu: "odd",
      vlan: 100,
      isGateway: "sometimes",
      ipam: { type: "rancher-cni-ipam", subnetPrefixSize: "/24" },
      runtimeConfig: { ips: ["10.1.0.9"] },
      prevResult: { cniVersion: "1.0.0" },
    })
    expect(problems).toEqual([])
    expect(conf).toMatchObject({
      cniVersion: "1.0.0",
      name: "n",
      type: "bridge",
      bridge: "cni0",
      mtu: 0,
      ipam: { type: "rancher-cni-ipam", subnetPrefixSize: 24 },
      runtimeConfig: { ips: ["10.1.0.9"] },
      prevResult: { cniVersion: "1.0.0" },
    })
  })
})

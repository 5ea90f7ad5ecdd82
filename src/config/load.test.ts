import { describe, expect, test } from "bun:test"
import { driver, load, loadFixture, loadOnHost } from "../../test/fixtures/config/loading.ts"
import { formatDiagnostic, hasErrors } from "./diagnostic.ts"
import { loadConfiguration } from "./load.ts"
import { parseNetconf } from "./netconf/parse.ts"

describe("the seed's YAML", () => {
  const { networks, diagnostics, said } = loadFixture("rancher-compose.yml")

  test("gives one warning: the stray key, with what was meant", () => {
    expect(said).toEqual([
      'rancher-compose.yml:20:9: warning: hairpinMode" is not a known key, it is ignored, ' +
        "did you mean hairpinMode, which is there too and is used",
    ])
    expect(hasErrors(diagnostics)).toBe(false)
    expect(diagnostics[0]?.path).toEqual([
      "ipsec",
      "network_driver",
      "cni_config",
      "10-rancher.conf",
      'hairpinMode"',
    ])
  })

  test("gives the ipsec network", () => {
    expect(networks).toMatchObject([
      {
        name: "ipsec",
        driverName: "Rancher IPsec",
        service: "ipsec",
        driver: "ipsec",
        subnets: [
          { cidr: "10.42.0.0/16", gateway: "10.42.0.1", start: "10.42.0.2", end: "10.42.255.250" },
        ],
        hostPorts: true,
        dns: ["169.254.169.250"],
        dnsSearch: ["rancher.internal"],
        metadata: {},
        macPrefix: undefined,
        defaultPolicyAction: "allow",
        policy: [],
        position: { file: "rancher-compose.yml", line: 2, column: 3 },
      },
    ])
    const [cni] = networks[0]?.cni ?? []
    expect(cni?.file).toBe("10-rancher.conf")
    expect(parseNetconf(cni?.conf).conf).toMatchObject({
      bridge: "docker0",
      bridgeSubnets: ["10.42.0.0/16"],
      isDefaultGateway: true,
      isGateway: true,
      hairpinMode: true,
      hostNat: true,
      linkMTUOverhead: 98,
      mtu: 0,
      ipam: { type: "rancher-cni-ipam" },
    })
  })
})

describe("the stacks of Rancher's catalog", () => {
  const answers = {
    DOCKER_BRIDGE: "docker0",
    MTU: "1500",
    RANCHER_DEBUG: "false",
    HOST_PORTS: "true",
    SUBNET: "10.42.0.0/16",
    SUBNET_PREFIX: "16",
    SUBNET_START_ADDRESS: "",
    SUBNET_END_ADDRESS: "",
    RANCHER_HAIRPIN_MODE: "false",
    RANCHER_PROMISCUOUS_MODE: "true",
  }

  test("ipsec, with the catalog's own answers", () => {
    const { networks, said } = loadFixture("config/ipsec.yml", { env: answers })
    expect(said).toEqual([])
    expect(networks).toMatchObject([
      {
        name: "ipsec",
        service: "cni-driver",
        driver: "ipsec",
        hostPorts: true,
        subnets: [{ cidr: "10.42.0.0/16", start: "10.42.0.2", end: "10.42.255.250" }],
      },
    ])
    const raw = networks[0]?.cni[0]?.conf
    expect(raw).toMatchObject({ isDebugLevel: "false", mtu: "1500", promiscMode: "true" })
    expect(parseNetconf(raw).conf).toMatchObject({
      hairpinMode: false,
      promiscMode: true,
      mtu: 1500,
      linkMTUOverhead: 98,
      ipam: { subnetPrefixSize: 16, routes: [{ dst: "169.254.169.250/32" }] },
    })
  })

  test("ipsec, with a range of its own", () => {
    const env = {
      ...answers,
      SUBNET: "10.50.0.0/16",
      SUBNET_START_ADDRESS: "10.50.1.0",
      SUBNET_END_ADDRESS: "10.50.1.255",
    }
    expect(loadFixture("config/ipsec.yml", { env }).networks[0]?.subnets).toEqual([
      { cidr: "10.50.0.0/16", gateway: "10.50.0.1", start: "10.50.1.0", end: "10.50.1.255" },
    ])
  })

  test("a variable that is not set is a warning where it stands", () => {
    const { MTU: _, ...env } = answers
    expect(loadFixture("config/ipsec.yml", { env }).said).toEqual([
      "config/ipsec.yml:50:16: warning: the variable MTU is not set, an empty text stands for it",
    ])
  })

  test("vxlan, with its defaults", () => {
    const { networks, said } = loadFixture("config/vxlan.yml")
    expect(said).toEqual([])
    expect(networks).toMatchObject([
      { name: "vxlan", driver: "vxlan", hostPorts: true, dns: ["169.254.169.250"] },
    ])
    expect(parseNetconf(networks[0]?.cni[0]?.conf).conf).toMatchObject({
      mtu: 1500,
      linkMTUOverhead: 50,
      promiscMode: true,
    })
  })

  test("per-host-subnet, with a host's labels", () => {
    const label = "io.rancher.network.per_host_subnet"
    const hostLabels = {
      [`${label}.subnet`]: "192.168.7.0/24",
      [`${label}.range_start`]: "192.168.7.10",
      [`${label}.range_end`]: "192.168.7.20",
    }
    const { networks, said } = loadOnHost("config/per-host-subnet.yml", hostLabels)
    expect(said).toEqual([])
    const subnet = { cidr: "192.168.7.0/24", start: "192.168.7.10", end: "192.168.7.20" }
    expect(networks).toMatchObject([
      { name: "per-host-subnet", driver: "routed", subnets: [subnet] },
    ])
    expect(parseNetconf(networks[0]?.cni[0]?.conf).conf).toMatchObject({
      bridgeSubnets: ["192.168.7.0/24"],
      hostNat: true,
      ipam: {
        type: "rancher-host-local-ipam",
        ranges: [
          { subnet: "192.168.7.0/24", rangeStart: "192.168.7.10", rangeEnd: "192.168.7.20" },
        ],
      },
    })
  })

  test("per-host-subnet, on a host without the labels", () => {
    const { networks, said } = loadOnHost("config/per-host-subnet.yml", { site: "7" })
    expect(said).toHaveLength(4)
    expect(said[0]).toBe(
      "config/per-host-subnet.yml:20:25: warning: this host has no label " +
        '"io.rancher.network.per_host_subnet.subnet", an empty text stands for it, ' +
        "set it in hostLabels of agent.yml",
    )
    expect(networks[0]?.cni[0]?.conf).toMatchObject({ bridgeSubnet: "", ipam: { subnet: "" } })
    // Away from any host nothing is known about labels, and nothing is said.
    expect(loadFixture("config/per-host-subnet.yml").said).toEqual([])
  })

  test("l2-flat", () => {
    const { networks, said } = loadFixture("config/l2-flat.yml")
    expect(said).toEqual([])
    expect(networks).toMatchObject([
      {
        name: "l2-flat",
        driver: "none",
        hostPorts: false,
        subnets: [{ start: "192.168.40.100", end: "192.168.40.199" }],
      },
    ])
    expect(parseNetconf(networks[0]?.cni[0]?.conf).conf).toMatchObject({
      bridge: "flatbr0",
      skipBridgeConfigureIP: true,
      hairpinMode: true,
      hostNat: false,
    })
  })

  test("ours, with IPv6, a driver of choice, and settings in the same file", () => {
    const { networks, agent, said } = loadFixture("config/dual-stack.yml")
    expect(said).toEqual([])
    expect(networks).toMatchObject([
      {
        driver: "wireguard",
        subnets: [{ cidr: "10.52.0.0/16" }, { cidr: "fd00:52::/64", end: "fd00:52::100:1" }],
        macPrefix: "02:00:2a",
        metadata: { owner: "site-7" },
        policy: [{ within: "stack", action: "allow" }],
      },
    ])
    expect(agent).toMatchObject({
      stateDir: "/srv/lariat",
      hostIp: "192.0.2.7",
      hostLabels: { site: "7" },
      quarantineMs: 300_000,
      logLevel: "debug",
    })
  })
})

describe("where things may stand", () => {
  test("services at the root and under `services`, both in one file", () => {
    const text = `version: '2'\nservices:\n  ${driver({ service: "a" }).replaceAll("\n", "\n  ")}\n${driver(
      { service: "b", network: "subnets: [{network_address: 10.43.0.0/16}]" },
    )}`
    const { networks, said } = load(text)
    expect(said).toEqual([])
    expect(networks.map(({ name }) => name).sort()).toEqual(["a", "b"])
  })

  test("services named as root keys of Compose and of ours are services", () => {
    const text = driver({ service: "agent" })
    expect(load(text).networks.map(({ name }) => name)).toEqual(["agent"])
    expect(load(driver({ service: "services" })).networks[0]?.name).toBe("services")
  })

  test("settings in several files, the later over the earlier, labels merged", () => {
    const { agent, said } = load({
      "a.yml": "agent: {stateDir: /a, runDir: /a, hostLabels: {x: '1', y: '1'}}",
      "b.yml": "agent: {stateDir: /b, hostLabels: {y: '2'}}",
      "c.yml": driver({ conf: "logToFile: '__host_label__:y'" }),
    })
    expect(said).toEqual([])
    expect(agent).toMatchObject({
      stateDir: "/b",
      runDir: "/a",
      hostLabels: { x: "1", y: "2" },
    })
  })

  test("labels of a later file hold for an earlier one", () => {
    const { networks } = load({
      "a.yml": driver({ conf: "logToFile: '__host_label__:y'" }),
      "b.yml": "agent: {hostLabels: {y: /log}}",
    })
    expect(networks[0]?.cni[0]?.conf).toMatchObject({ logToFile: "/log" })
  })

  test("an empty `agent` is one without settings", () => {
    expect(load("agent:\n").said).toEqual([])
  })

  test.each([
    ["", "f.yml:1:1: warning: neither a network_driver nor agent settings are in this file"],
    [
      "web: {image: x}",
      "f.yml:1:1: warning: neither a network_driver nor agent settings are in this file",
    ],
    [
      "agnet: {stateDir: /x}",
      "f.yml:1:1: warning: neither a network_driver nor agent settings are in this file, did you mean agent by agnet",
    ],
    [
      "a:\n  network_drivr: {}\n",
      "f.yml:2:3: warning: service a has network_drivr and no network_driver, did you mean network_driver",
    ],
    [
      "a: {network_driver: {name: x}}",
      "f.yml:1:5: warning: network_driver has no default_network, so no network is made, add default_network with a name",
    ],
    ["a: {network_driver: 5}", "f.yml:1:21: error: network_driver must be a map, is 5"],
    ["a:\n  network_driver:\n", "f.yml:2:3: error: network_driver must be a map, is empty"],
  ])("%j: %s", (text, line) => {
    expect(load(text).said).toContain(line)
  })
})

describe("cni_config", () => {
  test.each([
    ["mtu: big", 'f.yml:11:14: error: mtu must be a whole number from 0 to 65535, is "big"'],
    [
      "ipam:\n  type: lariat-cni\n  routes:\n  - gw: 10.0.0.1",
      "f.yml:14:13: error: ipam.routes[0].dst is missing",
    ],
    [
      "hairpinMode: true\npromiscMode: true",
      "f.yml:12:22: error: cannot set both hairpinMode and promiscMode",
    ],
    ["MTU: 1400", "f.yml:11:9: warning: MTU is taken for mtu, write mtu"],
    [
      "bridgeSubnet: 10.50.0.0/16",
      "f.yml:11:23: error: 10.50.0.0/16 has nothing in common with the network's 10.42.0.0/16",
    ],
    [
      "bridgeSubnet: 10.42.0.0/24",
      "f.yml:11:23: warning: bridgeSubnet 10.42.0.0/24 does not contain the subnet 10.42.0.0/16",
    ],
    [
      "mtu: 600\nlinkMTUOverhead: 98",
      "f.yml:12:26: error: mtu 600 less linkMTUOverhead 98 leaves 502 bytes, an IPv4 host must take 576",
    ],
    ["mtu: 500", "f.yml:11:14: error: mtu 500 leaves 500 bytes"],
    ["mtu: 50\nlinkMTUOverhead: 98", "leaves -48 bytes"],
    [
      "plugins: []",
      "f.yml:11:18: error: a file of cni_config is one configuration, this is a list with plugins",
    ],
  ])("%j: %s", (conf, line) => {
    expect(load(driver({ conf })).said.join("\n")).toContain(line)
  })

  test.each([
    "bridgeSubnet: 10.42.0.0/16",
    "bridgeSubnet: 10.0.0.0/8",
    "bridgeSubnet: 'fd00::/64'",
    "mtu: 1500\nlinkMTUOverhead: 98",
  ])("%j is right", (conf) => {
    expect(load(driver({ conf })).said).toEqual([])
  })

  test("IPv6 needs an MTU of 1280", () => {
    const network = "subnets: [{network_address: 'fd00::/64'}]"
    expect(load(driver({ network, conf: "mtu: 1300\nlinkMTUOverhead: 98" })).said.join()).toContain(
      "leaves 1202 bytes, IPv6 needs 1280",
    )
    expect(load(driver({ network, conf: "mtu: 1400\nlinkMTUOverhead: 98" })).said).toEqual([])
  })

  test("files are sorted by name, and a file of another plugin is its own matter", () => {
    const text = `a:
  network_driver:
    default_network: {name: a}
    cni_config:
      20-portmap.conf: {name: a, type: portmap, capabilities: {portMappings: true}, snat: true}
      10-a.conf: {name: a, type: lariat-cni}
`
    const { networks, said } = load(text)
    expect(said).toEqual([])
    expect(networks[0]?.cni.map(({ file }) => file)).toEqual(["10-a.conf", "20-portmap.conf"])
  })

  test.each([
    [
      "cni_config: {../x.conf: {name: a, type: lariat-cni}}",
      'error: cni_config "../x.conf" is no file name',
    ],
    ["cni_config: {a.conf: 5}", "error: cni_config.a.conf must be a map, is 5"],
    [
      "cni_config: []",
      "error: cni_config must be a map from file name to configuration, is an empty list",
    ],
    ["cni_config: {}", "warning: network a has no cni_config, so no runtime can attach to it"],
    [
      "cni_config: {a.conf: {name: a, type: lariat-cni}, b.conf: {name: a, type: lariat-cni}}",
      "warning: b.conf has the same name as a.conf, a",
    ],
  ])("%s: %s", (config, message) => {
    const text = `a:\n  network_driver:\n    default_network: {name: a}\n    ${config}\n`
    expect(load(text).said.join("\n")).toContain(message)
  })
})

describe("between networks", () => {
  const b = "subnets: [{network_address: 10.43.0.0/16}]"

  test("subnets that overlap, both places named", () => {
    const { said, networks } = load({
      "a.yml": driver({ service: "a" }),
      "b.yml": driver({ service: "b", network: "subnets: [{network_address: 10.42.8.0/24}]" }),
    })
    expect(said).toEqual([
      "b.yml:6:35: error: subnet 10.42.8.0/24 of network b overlaps 10.42.0.0/16 of network a, " +
        "said in a.yml:6:35, give each its own range",
    ])
    expect(networks).toHaveLength(2)
  })

  test("subnets of one network that overlap", () => {
    const network = "subnets: [{network_address: 10.42.0.0/16}, {network_address: 10.42.0.0/24}]"
    expect(load(driver({ network })).said).toEqual([
      "f.yml:6:68: error: subnet 10.42.0.0/24 of network one overlaps 10.42.0.0/16, " +
        "said in f.yml:6:35, give each its own range",
    ])
  })

  test("the same network name, the same configuration name", () => {
    const other = driver({ service: "a", network: b }).replace("a:", "other:")
    expect(load({ "a.yml": driver({ service: "a" }), "b.yml": other }).said).toEqual([
      "b.yml:5:13: error: the network name a is taken, said in a.yml:5:13, choose another name",
      "b.yml:9:15: error: the CNI configuration name a is taken, said in a.yml:9:15, choose another name",
    ])
  })

  test("an error in one leaves the other", () => {
    const { networks, diagnostics } = load({
      "a.yml": driver({ service: "a", network: "dns: [x]" }),
      "b.yml": driver({ service: "b", network: b }),
    })
    expect(hasErrors(diagnostics)).toBe(true)
    expect(networks.map(({ name }) => name)).toEqual(["b"])
  })
})

test("errors never stop at the first, and come in the order of the lines", () => {
  const text = driver({
    driver: "naem: x\ndriver: odd",
    network: "host_ports: maybe\ndns: [x, y]\nsubnets: [{network_address: z}]",
    conf: "mtu: big\nbridge: a b",
  })
  const { said } = load(text)
  const lines = said.map((line) => Number(line.split(":")[1]))
  expect(said.length).toBeGreaterThanOrEqual(7)
  expect(lines).toEqual(lines.toSorted((a, b) => a - b))
})

test("beside agent settings, a network without its network_driver is told", () => {
  const text = "agent:\n  logLevel: debug\nedge:\n  default_network:\n    name: edge\n"
  const { diagnostics } = loadConfiguration([{ path: "f.yml", text }], { env: {} })
  expect(diagnostics.map(formatDiagnostic)).toEqual([
    "f.yml:3:1: warning: edge has no network_driver, so no network is made of it, write its settings below edge.network_driver",
  ])
})

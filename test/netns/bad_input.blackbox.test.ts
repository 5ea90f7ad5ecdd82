/**
 * Whatever comes in: the right CNI code on standard output, a sentence that says what to do on
 * standard error, a failing exit status, and no address, link or row left.
 */
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, test } from "bun:test"
import { mkdirSync, writeFileSync } from "node:fs"
import { attempt, run, waitFor } from "../clients/program.ts"
import { attached, expectNothingLeft, removed } from "./container.ts"
import { linkNames } from "./kernel_view.ts"
import {
  type Conf,
  ipIn,
  Lab,
  type PluginAnswer,
  type PluginCall,
  type PluginJson,
  pluginCommand,
  SEED_CONF,
} from "./lab.ts"

const ID = "bad"

let lab: Lab
let links: string[]
beforeAll(async () => {
  lab = await Lab.start()
  await run(["ip", "link", "add", "nobridge", "type", "veth", "peer", "name", "nobridge1"])
  // The bridge is there before anything goes wrong, so that a link more is a link left.
  await attached(lab, "first")
  await removed(lab, "first")
  links = await linkNames()
})
afterAll(() => lab.close())
beforeEach(() => lab.netns(ID))
afterEach(() => lab.deleteNetns(ID))

const seed = (more: Conf): PluginCall => ({ conf: { ...SEED_CONF, ...more } })
const runtime = (runtimeConfig: Conf): PluginCall => seed({ runtimeConfig })
const ipam = (more: Conf): PluginCall => seed({ ipam: { type: "rancher-cni-ipam", ...more } })
const env = (more: Record<string, string>): PluginCall => ({ env: more })

/** The form of every refusal. */
function expectRefusal(answer: PluginAnswer, code: number, words: RegExp): void {
  expect(answer.status).toBe(1)
  const { json } = answer
  expect(json.code).toBe(code)
  expect(json.cniVersion).toMatch(/^\d\.\d\.\d$/)
  expect(json.msg).toMatch(words)
  expect(json.msg).toMatch(/^Cannot /)
  // What is wrong, then what to do.
  expect(answer.stderr).toMatch(/^lariat: Cannot .+\. [A-Z].+\n$/)
  expect(answer.stderr).toMatch(words)
}

async function expectUntouched(): Promise<void> {
  expect(await linkNames(ID)).toEqual(["lo"])
  expect(await linkNames()).toEqual(links)
  await expectNothingLeft(lab)
  const { networks } = await lab.status()
  for (const { subnets } of networks) for (const { used } of subnets) expect(used).toBe(0)
}

describe.each<[string, number, [string, PluginCall, RegExp][]]>([
  [
    "what is no configuration",
    6,
    [
      ["nothing", { conf: "" }, /standard input is empty/],
      ["half an object", { conf: '{"cniVersion":"1.1.0","name":"x"' }, /not JSON/],
      ["a list", { conf: "[]" }, /not an object/],
      ["null", { conf: "null" }, /not an object/],
      ["a number", { conf: "1e999" }, /not an object/],
      ["two objects", { conf: "{}{}" }, /not JSON/],
      ["an abyss", { conf: `${'{"a":'.repeat(5000)}1${"}".repeat(5000)}` }, /levels deep|not JSON/],
      ["a broken prevResult", seed({ prevResult: { cniVersion: "1.1.0", ips: 5 } }), /ips/],
    ],
  ],
  [
    "what is no environment",
    4,
    [
      ["no container id", env({ CNI_CONTAINERID: "" }), /CNI_CONTAINERID is missing/],
      ["no namespace", env({ CNI_NETNS: "" }), /CNI_NETNS is missing/],
      ["no interface name", env({ CNI_IFNAME: "" }), /CNI_IFNAME is missing/],
      [
        "none of them",
        env({ CNI_CONTAINERID: "", CNI_NETNS: "", CNI_IFNAME: "" }),
        /CNI_CONTAINERID .*CNI_NETNS .*CNI_IFNAME/,
      ],
      ["an id with a path in it", env({ CNI_CONTAINERID: "../../x" }), /"\.\.\/\.\.\/x"/],
      ["an id with an option in it", env({ CNI_CONTAINERID: "-rf" }), /"-rf"/],
      ["an interface name too long", { ifname: "a234567890123456" }, /15 bytes/],
      ["an interface name with a slash", { ifname: "eth/0" }, /"eth\/0"/],
      ["an interface name that is a pattern", { ifname: "eth%d" }, /"eth%d"/],
      ["an interface named ..", { ifname: ".." }, /CNI_IFNAME/],
      ["an unknown command", env({ CNI_COMMAND: "FROB" }), /"FROB"/],
      ["CNI_ARGS without a value", { args: "IP" }, /CNI_ARGS has "IP"/],
      ["CNI_ARGS with no address", { args: "IP=10.42.0.300" }, /10\.42\.0\.300/],
      ["a timeout that is none", env({ LARIAT_TIMEOUT_MS: "soon" }), /LARIAT_TIMEOUT_MS "soon"/],
    ],
  ],
  [
    "an unknown version",
    1,
    [
      ["of the future", seed({ cniVersion: "9.9.9" }), /"9\.9\.9"/],
      ["that is a number", seed({ cniVersion: 1 }), /cniVersion 1\b/],
      ["that is nearly one", seed({ cniVersion: "1.0" }), /"1\.0"/],
    ],
  ],
  [
    "a configuration with a wrong value",
    7,
    [
      ["no name", seed({ name: undefined }), /name is missing/],
      ["a name with a space", seed({ name: "a b" }), /"a b"/],
      ["mtu in words", seed({ mtu: "large" }), /mtu\b.*large/],
      ["a negative mtu", seed({ mtu: -1 }), /mtu\b.*-1/],
      ["half an mtu", seed({ mtu: 1400.5 }), /mtu\b.*1400\.5/],
      ["an mtu no link can have", seed({ mtu: 70_000 }), /mtu\b.*70000/],
      ["a number for a bridge", seed({ bridge: 5 }), /bridge\b.*5/],
      ["a bridge name too long", seed({ bridge: "a234567890123456" }), /bridge\b.*a23456789/],
      ["a subnet of 33 bits", seed({ bridgeSubnet: "10.42.0.0/33" }), /bridgeSubnet\b.*\/33/],
      ["a flag that is neither", seed({ isDefaultGateway: "maybe" }), /isDefaultGateway.*maybe/],
      ["a flag that is an object", seed({ ipMasq: {} }), /ipMasq/],
      ["hairpin and promiscuous", seed({ promiscMode: true }), /hairpinMode and promiscMode/],
      ["an overhead in words", seed({ linkMTUOverhead: "some" }), /linkMTUOverhead\b.*some/],
      ["a bridgeIP elsewhere", seed({ bridgeIP: "10.9.0.1" }), /bridgeIP\b.*10\.9\.0\.1/],
      ["ipam that is a text", seed({ ipam: "rancher-cni-ipam" }), /ipam\b/],
      ["a prefix too long", ipam({ subnetPrefixSize: "/129" }), /subnetPrefixSize\b.*129/],
      ["a route to nowhere", ipam({ routes: [{ dst: "x" }] }), /ipam\.routes\.0\.dst\b.*x/],
      ["a route by no one", ipam({ routes: [{ dst: "::/0", gw: "y" }] }), /routes\.0\.gw\b.*y/],
      [
        "a second default gateway",
        ipam({ routes: [{ dst: "0.0.0.0/0", gw: "10.42.0.9" }] }),
        /10\.42\.0\.1.*10\.42\.0\.9/,
      ],
      ["a wish that is no address", runtime({ ips: ["10.42.0.2.3"] }), /ips.*10\.42\.0\.2\.3/],
      ["a wish that is no list", runtime({ ips: { a: 1 } }), /runtimeConfig\.ips/],
      ["a mapping without ports", runtime({ portMappings: [{}] }), /portMappings/],
      ["a port beyond all", runtime({ portMappings: [{ hostPort: 70_000 }] }), /70000/],
      ["a socket that is a number", seed({ agentSocket: 5 }), /agentSocket 5/],
      ["a socket that is not absolute", seed({ agentSocket: "run/x" }), /agentSocket "run\/x"/],
      [
        "a subnet that the agent's network has not",
        seed({ bridgeSubnet: "10.99.0.0/16" }),
        /10\.99\.0\.0\/16.*10\.42\.0\.0\/16/,
      ],
      [
        "a subnet that overlaps another network's",
        seed({ name: "overlap", bridge: "over0", bridgeSubnet: "10.42.128.0/17" }),
        /10\.42\.128\.0\/17.*overlaps 10\.42\.0\.0\/16/,
      ],
      [
        "two subnets of its own that overlap",
        seed({ name: "twice", bridge: "over0", bridgeSubnet: ["10.80.0.0/16", "10.80.1.0/24"] }),
        /10\.80\.1\.0\/24|10\.80\.0\.0\/16/,
      ],
      [
        "a subnet without room for a container",
        seed({ name: "small", bridge: "over0", bridgeSubnet: "10.81.0.0/31" }),
        /10\.81\.0\.0\/31/,
      ],
    ],
  ],
  [
    "an MTU",
    111,
    [
      ["with nothing left in it", seed({ mtu: 100 }), /100\b/],
      ["less than its overhead", seed({ linkMTUOverhead: 2000 }), /-500/],
    ],
  ],
  [
    "a namespace",
    8,
    [
      ["that is not there", { netns: "/run/netns/none" }, /\/run\/netns\/none/],
      ["that is a file", { netns: "/etc/passwd" }, /\/etc\/passwd/],
      ["that is a folder", { netns: "/run" }, /\/run\b/],
      ["that is a device", { netns: "/dev/null" }, /\/dev\/null/],
      ["of another kind", { netns: "/proc/self/ns/pid" }, /\/proc\/self\/ns\/pid/],
      ["of the agent's own", { netns: "/proc/1/ns/net" }, /own network namespace/],
      ["of a process that is gone", { netns: "/proc/999999/ns/net" }, /\/proc\/999999/],
      ["that waits for a writer", { netns: "/run/tmp/fifo" }, /\/run\/tmp\/fifo/],
    ],
  ],
  [
    "a bridge",
    106,
    [["that is none", seed({ bridge: "nobridge" }), /nobridge.*veth|nobridge.*bridge/]],
  ],
  [
    "the agent",
    11,
    [
      ["that is away", seed({ agentSocket: "/run/nobody.sock" }), /\/run\/nobody\.sock/],
      ["whose socket is a file", seed({ agentSocket: "/etc/passwd" }), /\/etc\/passwd/],
    ],
  ],
])("%s (code %d)", (_, code, rows) => {
  beforeAll(() => run(["sh", "-c", "test -p /run/tmp/fifo || mkfifo /run/tmp/fifo"]))

  test.each(rows)("%s is refused", async (_, call, words) => {
    expectRefusal(await lab.plugin("ADD", { id: ID, ...call }), code, words)
    await expectUntouched()
  })
})

test("bytes that are no UTF-8 are refused", async () => {
  const script = 'printf \'{"name":"\\xff"}\' | "$@"'
  const words = pluginCommand("rancher-bridge")
  const answer = await attempt(["bash", "-c", script, "bash", ...words], {
    env: {
      CNI_COMMAND: "ADD",
      CNI_CONTAINERID: ID,
      CNI_NETNS: `/run/netns/${ID}`,
      CNI_IFNAME: "eth0",
      LARIAT_SOCKET: lab.socket,
    },
  })
  expectRefusal({ ...answer, json: JSON.parse(answer.stdout) }, 6, /UTF-8/)
  await expectUntouched()
})

test("a configuration of more than a megabyte is refused", async () => {
  const answer = await lab.plugin("ADD", { id: ID, ...seed({ ballast: "x".repeat(1_100_000) }) })
  expectRefusal(answer, 5, /1048576 bytes|more than/)
  await expectUntouched()
})

describe("an interface that is there already (code 102)", () => {
  test("of somebody else", async () => {
    await ipIn(ID, "link", "add", "eth0", "type", "bridge")
    expectRefusal(await lab.plugin("ADD", { id: ID }), 102, /eth0/)
    expect(await linkNames(ID)).toEqual(["eth0", "lo"])
    expect(await linkNames()).toEqual(links)
    await expectNothingLeft(lab)
  })

  test("of somebody else; the bridge that was made for it goes again", async () => {
    await ipIn(ID, "link", "add", "eth0", "type", "bridge")
    const call = seed({ name: "fresh", bridge: "fresh0", bridgeSubnet: "10.83.0.0/24" })
    expectRefusal(await lab.plugin("ADD", { id: ID, ...call }), 102, /eth0/)
    expect(await linkNames()).toEqual(links)
    await expectNothingLeft(lab)
  })

  test("of the same container, attached before; it goes on as it was", async () => {
    await lab.add(ID)
    const before = await lab.endpoints()
    expectRefusal(await lab.plugin("ADD", { id: ID }), 102, /attached already/)
    expect(await lab.endpoints()).toEqual(before)
    await lab.del(ID)
    await expectUntouched()
  })

  test("of another container that shares the namespace", async () => {
    await lab.add(ID)
    const before = await lab.endpoints()
    const answer = await lab.plugin("ADD", { id: "guest", netns: `/run/netns/${ID}` })
    expectRefusal(answer, 102, /eth0/)
    expect(await lab.endpoints()).toEqual(before)
    await lab.del(ID)
    await expectUntouched()
  })
})

test("an exhausted pool is 101, and the refused leaves nothing", async () => {
  const range = { subnet: "10.82.0.0/24", rangeStart: "10.82.0.5", rangeEnd: "10.82.0.5" }
  const call = seed({
    name: "one",
    bridge: "docker0",
    bridgeSubnet: "10.82.0.0/24",
    ipam: { type: "rancher-cni-ipam", ranges: [[range]] },
  })
  await attached(lab, "holder", call)
  const before = await lab.endpoints()
  expectRefusal(await lab.plugin("ADD", { id: ID, ...call }), 101, /one.*1 used/)
  expect(await linkNames(ID)).toEqual(["lo"])
  expect(await lab.endpoints()).toEqual(before)
  await removed(lab, "holder", call)
  await expectUntouched()
})

describe("DEL of what never was or is bad", () => {
  test.each<[string, PluginCall]>([
    ["a container that never was", { id: "ghost", netns: "" }],
    ["a namespace that is a file", { netns: "/etc/passwd" }],
    ["a bad value in CNI_ARGS", { args: "IP=nonsense" }],
    ["an odd pair in CNI_ARGS", { args: "nonsense" }],
  ])("succeeds: %s", async (_, call) => {
    expect(await lab.plugin("DEL", { id: ID, ...call })).toMatchObject({ status: 0, stdout: "" })
    await expectUntouched()
  })

  test("is refused where nobody can tell what it means", async () => {
    expectRefusal(await lab.plugin("DEL", { id: ID, conf: "{" }), 6, /not JSON/)
    expectRefusal(await lab.plugin("DEL", { id: ID, ifname: "" }), 4, /CNI_IFNAME/)
    const away = seed({ agentSocket: "/run/nobody.sock" })
    expectRefusal(await lab.plugin("DEL", { id: ID, ...away }), 11, /nobody/)
  })
})

test("the namespace of the agent itself is taken with CNI_NETNS_OVERRIDE", async () => {
  const call = { netns: "/proc/1/ns/net", ifname: "own0", env: { CNI_NETNS_OVERRIDE: "1" } }
  const result: PluginJson = await lab.add(ID, call)
  expect(result.ips?.[0]?.address).toStartWith("10.42.")
  expect(await linkNames()).toContain("own0")
  await lab.del(ID, call)
  await expectUntouched()
})

describe("a bridge that may not be made", () => {
  let other: Lab
  afterEach(() => other.close())
  const conf = { ...SEED_CONF, bridge: "docker1" }

  test("is named, with createBridge: never (code 106)", async () => {
    await lab.stopAgent()
    other = await Lab.start({ settings: { createBridge: "never" } })
    expectRefusal(await other.plugin("ADD", { id: ID, conf }), 106, /docker1/)
    await expectNothingLeft(other)
    await lab.startAgent()
  })

  test("is waited for where Docker is installed and has not made it (code 11)", async () => {
    await lab.stopAgent()
    await run(["ip", "link", "delete", "docker0"])
    mkdirSync("/etc/systemd/system", { recursive: true })
    writeFileSync("/etc/systemd/system/docker.socket", "")
    other = await Lab.start({ settings: { createBridge: "auto" } })
    expectRefusal(await other.plugin("ADD", { id: ID }), 11, /docker0.*Docker is installed/)
    expect((await other.plugin("STATUS", {})).status).toBe(0)
    await expectNothingLeft(other)
    // Docker comes, and the runtime tries again.
    await run(["ip", "link", "add", "docker0", "type", "bridge"])
    await waitFor("the attach", async () =>
      (await other.plugin("ADD", { id: ID })).status === 0 ? true : undefined,
    )
    await other.del(ID)
    await expectNothingLeft(other)
  })
})

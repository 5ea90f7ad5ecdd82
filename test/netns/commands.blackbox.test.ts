/** The command line: what scripts rely on. */
import { afterAll, beforeAll, describe, expect, test } from "bun:test"
import { statSync, writeFileSync } from "node:fs"
import { join } from "node:path"
import { bindUdp, type UdpSocket } from "../../src/sys/net/udp.ts"
import { attempt } from "../clients/program.ts"
import { attached, type Container, removed } from "./container.ts"
import { Lab, lariatCommand, SEED } from "./lab.ts"
import { yamlFile } from "./networks.ts"

/** A nameserver of the host. /etc is the test's own. */
const NAMESERVER = "127.0.0.53"

let lab: Lab
let nameserver: UdpSocket
beforeAll(async () => {
  nameserver = await bindUdp({ hostname: NAMESERVER, port: 53 }, (bytes, port, address, send) => {
    // The query as its own answer: QR is all that is looked at.
    bytes[2] = (bytes[2] ?? 0) | 0x80
    send(bytes, port, address)
  })
  writeFileSync("/etc/resolv.conf", `nameserver ${NAMESERVER}\n`)
  lab = await Lab.start()
})
afterAll(async () => {
  await lab.close()
  nameserver.close()
})

const mode = (path: string) => (statSync(path).mode & 0o777).toString(8)

test("what the agent keeps is for its owner alone", () => {
  expect(mode(lab.socket)).toBe("600")
  expect(mode(lab.runDir)).toBe("700")
  expect(mode(lab.stateDir)).toBe("700")
  expect(mode(join(lab.stateDir, "lariat.db"))).toBe("600")
})

describe("doctor", () => {
  test("finds nothing broken on a host where everything works", async () => {
    const { status, stdout, stderr } = await lab.lariat("doctor")
    expect({ status, stderr }).toEqual({ status: 0, stderr: "" })
    expect(stdout).toMatch(/^(error|warning|ok) +\w+: /)
    expect(stdout).not.toMatch(/^error/m)
    // The seed's stray key, as the agent tells of it.
    expect(stdout).toContain("hairpinMode")
  })

  test("says it for programs", async () => {
    const findings: { check: string; state: string }[] = JSON.parse(
      (await lab.lariat("doctor", "--json")).stdout,
    )
    const checks = ["agent", "clock", "dns", "kernel", "metadata", "mtu", "overlap", "sysctl"]
    const found = [...new Set(findings.map(({ check }) => check))].sort()
    expect(found).toEqual([...checks, "upstream"])
  })

  test("ends with 1 where no agent answers, and says how to start one", async () => {
    const env = { LARIAT_SOCKET: "/nowhere/agent.sock" }
    const { status, stdout } = await attempt([...lariatCommand(), "doctor"], { env })
    expect(status).toBe(1)
    expect(stdout).toMatch(/^error +agent: no agent answers/)
    expect(stdout).toContain("systemctl start lariat")
  })
})

describe("a host alone", () => {
  test("has no peers, no blocks and no keys, and says so", async () => {
    expect((await lab.lariat("peers")).stdout).toBe("no other hosts\n")
    expect((await lab.lariat("blocks")).stdout).toContain("one host alone needs none")
    const { status, stderr } = await lab.lariat("rotate")
    expect(status).toBe(1)
    expect(stderr).toContain("this host is in no cluster")
  })
})

describe("with a container attached", () => {
  let one: Container
  beforeAll(async () => {
    one = await attached(lab, "one", { args: "IgnoreUnknown=1;K8S_POD_NAME=web-1" })
  })
  afterAll(() => removed(lab, "one"))

  test("status says it for people", async () => {
    const { status, stdout, stderr } = await lab.lariat("status")
    expect({ status, stderr }).toEqual({ status: 0, stderr: "" })
    expect(stdout).toMatch(/^lariat \d+\.\d+\.\d+\S* \(.+\), pid \d+, up /)
    expect(stdout).toMatch(/ipsec +ipsec +10\.42\.0\.0\/16 +10\.42\.0\.1 +1 +0 +\d+/)
    expect(stdout).toContain("endpoints: 1 attached, 0 attaching, 0 detaching")
    // The seed's stray key is the one thing that is wrong with it.
    expect(stdout).toMatch(/warning: .*rancher-compose\.yml:20:9.*hairpinMode/)
  })

  test("status says it for programs", async () => {
    expect(await lab.status()).toMatchObject({
      agent: { pid: lab.pid, stateDir: lab.stateDir },
      networks: [
        {
          name: "ipsec",
          source: "config",
          cniNames: ["ipsec", "rancher-cni-network"],
          subnets: [{ cidr: "10.42.0.0/16", gateway: "10.42.0.1", used: 1 }],
        },
      ],
      endpoints: { attached: 1, attaching: 0, detaching: 0 },
    })
  })

  test("endpoints lists it, both ways", async () => {
    const { status, stdout } = await lab.lariat("endpoints")
    expect(status).toBe(0)
    const [head = "", row = "", ...more] = stdout.trim().split("\n")
    expect(head).toMatch(/^NETWORK +CONTAINER +IFACE +ADDRESSES/)
    for (const word of ["rancher-cni-network", "one", "eth0", `${one.address}/16`, "web-1"]) {
      expect(row).toContain(word)
    }
    expect(more).toEqual([])
    expect(await lab.endpoints()).toMatchObject([{ containerId: "one", name: "web-1" }])
  })
})

test("endpoints of an empty host says so", async () => {
  expect((await lab.lariat("endpoints")).stdout).toBe("nothing is attached\n")
  expect((await lab.lariat("endpoints", "--json")).stdout).toBe("[]\n")
})

describe("mtu", () => {
  test("gives its parts line by line", async () => {
    const { status, stdout } = await lab.lariat("mtu")
    expect(status).toBe(0)
    const lines = stdout.trim().split("\n")
    expect(lines[0]).toMatch(/^outer MTU +1500$/)
    expect(lines.at(-1)).toMatch(/^largest inner packet +1446$/)
  })

  test.each<[string[], object]>([
    [[], { outer: 1500, driver: "ipsec", cipher: "aes256gcm16", family: 4, udp: false, mtu: 1446 }],
    [["--driver", "vxlan"], { driver: "vxlan", cipher: null, mtu: 1450, overhead: 50 }],
    [["--driver", "wireguard", "--family", "6"], { family: 6, mtu: 1420, overhead: 80 }],
    [["--driver", "none", "--outer", "9000"], { outer: 9000, mtu: 9000, overhead: 0, parts: [] }],
    [["--udp", "--cipher", "aes128-sha1"], { udp: true, cipher: "aes128-sha1" }],
  ])("--json %p has the keys that are promised", async (options, expected) => {
    const { status, stdout } = await lab.lariat("mtu", "--json", ...options)
    expect(status).toBe(0)
    const answer = JSON.parse(stdout)
    expect(Object.keys(answer).sort()).toEqual(
      ["cipher", "driver", "family", "mtu", "outer", "overhead", "parts", "udp"].sort(),
    )
    expect(answer).toMatchObject(expected)
    expect(answer.overhead).toBe(answer.outer - answer.mtu)
    const parts: { what: string; bytes: number }[] = answer.parts
    expect(parts.reduce((sum, { bytes }) => sum + bytes, 0)).toBe(answer.overhead)
  })
})

describe("validate", () => {
  test("takes the seed with one warning, which says where and what was meant", async () => {
    const { status, stdout } = await lab.lariat("validate", SEED)
    expect(status).toBe(0)
    const remarks = stdout.split("\n").filter((line) => /: (warning|error): /.test(line))
    expect(remarks).toHaveLength(1)
    expect(remarks[0]).toMatch(/rancher-compose\.yml:20:9: warning: .*did you mean.*hairpinMode/)
  })

  test("names every error of every file and ends with 1", async () => {
    const bad = yamlFile(
      "a:\n  network_driver:\n    default_network: {name: 5, subnets: [{network_address: x}]}\n",
    )
    const { status, stdout } = await lab.lariat("validate", bad, SEED)
    expect(status).toBe(1)
    expect(stdout).toMatch(/networks\.yml:3:\d+: error: /)
    expect(stdout).toContain("rancher-compose.yml:20:9: warning")
  })

  test("of a file that is not there says so", async () => {
    const { status, stderr } = await lab.lariat("validate", "/nowhere.yml")
    expect(status).toBe(1)
    expect(stderr).toContain("/nowhere.yml")
  })
})

test("version says version, build, runtime and the core's hash", async () => {
  const { stdout } = await lab.lariat("version", "--json")
  const facts = JSON.parse(stdout)
  expect(facts.version).toMatch(/^\d+\.\d+\.\d+/)
  expect(facts.runtime).toMatch(/^(bun|deno) \d/)
  expect(facts.wasm).toMatch(/^[0-9a-f]{64}$/)
  const { stdout: text } = await lab.lariat("version")
  for (const fact of [facts.version, facts.runtime, facts.wasm]) expect(text).toContain(fact)
  expect((await lab.status()).agent).toMatchObject({
    version: facts.version,
    build: facts.build,
    runtime: facts.runtime,
  })
})

describe("exit status", () => {
  test.each<[string, string[]]>([
    ["an unknown command", ["frobnicate"]],
    ["an unknown option", ["status", "--frob"]],
    ["an unknown driver", ["mtu", "--driver", "pigeon"]],
    [
      "a cipher for a driver that has none",
      ["mtu", "--driver", "vxlan", "--cipher", "aes128gcm16"],
    ],
    ["an MTU that is none", ["mtu", "--outer", "12"]],
    ["nothing to validate", ["validate"]],
  ])("2 for %s", async (_, words) => {
    const { status, stdout, stderr } = await lab.lariat(...words)
    expect(status).toBe(2)
    expect(stdout).toBe("")
    expect(stderr).not.toBe("")
  })

  test.each(["status", "endpoints", "endpoints --json"])(
    "1 for %s without an agent, with what to do",
    async (words) => {
      const env = { LARIAT_SOCKET: "/run/nobody.sock" }
      const command = [...lariatCommand(), ...words.split(" ")]
      const { status, stdout, stderr } = await attempt(command, { env })
      expect(status).toBe(1)
      expect(stdout).toBe("")
      expect(stderr).toContain("/run/nobody.sock")
      expect(stderr.trim().split("\n").length).toBeGreaterThan(1)
    },
  )

  test("0 for help", async () => {
    expect((await lab.lariat("--help")).status).toBe(0)
  })
})

describe("a second agent", () => {
  const start = (...words: string[]) =>
    attempt([...lariatCommand(), "agent", "--config", SEED, ...words], { timeoutMs: 10_000 })

  test("on the same state is refused, by the pid of the first", async () => {
    const other = join(lab.directory, "run2")
    const { status, stderr } = await start("--state-dir", lab.stateDir, "--run-dir", other)
    expect(status).toBe(1)
    expect(stderr).toContain(lab.stateDir)
    expect(stderr).toContain(String(lab.pid))
    expect((await lab.status()).agent.pid).toBe(lab.pid)
  })

  test("with a file that has errors does not start", async () => {
    const bad = yamlFile("agent:\n  quarantine: soon\n")
    const state = join(lab.directory, "state3")
    const { status, stderr } = await start("--config", bad, "--state-dir", state)
    expect(status).toBe(1)
    expect(stderr).toMatch(/networks\.yml:2:\d+: error: .*soon|quarantine/)
  })
})

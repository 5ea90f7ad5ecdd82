/** The agent's own DNS, as containers ask it: names, searches, other servers, and who is silent to. */
import { afterAll, beforeAll, describe, expect, test } from "bun:test"
import { type ChildProcess, spawn } from "node:child_process"
import { renameSync, writeFileSync } from "node:fs"
import type { Finding } from "../../src/agent/doctor/finding.ts"
import { run, waitFor } from "../clients/program.ts"
import { attached, type Container, removed } from "./container.ts"
import { askFrom, DNS_SERVER, dataOf } from "./dns_client.ts"
import { addressesOf } from "./kernel_view.ts"
import { type Conf, ipIn, Lab, SEED_CONF } from "./lab.ts"
import { DUAL_CONF, dualStackYaml } from "./networks.ts"
import { HOST_IP, OUTSIDE, OUTSIDE_IP, wireOutside } from "./outside.ts"

/** Another server in the outside, with another answer. */
const OTHER_IP = "203.0.113.53"
const LABELS = [
  { key: "io.rancher.stack_service.name", value: "shop/front" },
  { key: "io.rancher.stack.name", value: "shop" },
]
const FRONT: Conf = { ...DUAL_CONF, args: { cni: { labels: LABELS } } }

let lab: Lab
let web: Container
let db: Container
const upstreams: ChildProcess[] = []

const named = (name: string) => ({ conf: DUAL_CONF, args: `IgnoreUnknown=1;K8S_POD_NAME=${name}` })

beforeAll(async () => {
  lab = await Lab.start({
    configs: [dualStackYaml()],
    settings: { createBridge: "always", quarantine: "1s", hostIp: HOST_IP },
  })
  await wireOutside(lab)
  await ipIn(OUTSIDE, "address", "add", `${OTHER_IP}/24`, "dev", "cable")
  // It would answer if anything of ours asked it.
  await ipIn(OUTSIDE, "route", "add", `${DNS_SERVER}/32`, "via", HOST_IP)
  for (const [address, answer] of [
    [OUTSIDE_IP, "192.0.2.1"],
    [OTHER_IP, "192.0.2.2"],
  ] as const) {
    await startUpstream(["nsenter", `--net=/run/netns/${OUTSIDE}`], address, answer)
  }
  resolvConf(OUTSIDE_IP)
  web = await attached(lab, "web", named("web"))
  db = await attached(lab, "db", named("db"))
}, 60_000)

afterAll(async () => {
  for (const child of upstreams) child.kill("SIGKILL")
  await removed(lab, "web", { conf: DUAL_CONF })
  await removed(lab, "db", { conf: DUAL_CONF })
  await lab.close()
})

/** Starts a server of other names, by words before it, and waits until it listens. */
async function startUpstream(before: readonly string[], ...args: readonly string[]): Promise<void> {
  const [program = "", ...rest] = [...before, process.execPath]
  const child = spawn(program, [...rest, `${import.meta.dirname}/dns_upstream.ts`, ...args], {
    stdio: ["ignore", "pipe", "inherit"],
  })
  upstreams.push(child)
  await new Promise((resolve) => child.stdout?.once("data", resolve))
}

/** Replaces the host's resolv.conf, as programs do. /etc is the test's own. */
function resolvConf(...servers: readonly string[]): void {
  writeResolvConf(servers.map((one) => `nameserver ${one}\n`).join(""))
}

function writeResolvConf(text: string): void {
  writeFileSync("/etc/resolv.conf.new", text)
  renameSync("/etc/resolv.conf.new", "/etc/resolv.conf")
}

describe("a container asks", () => {
  test("for another one by its name, with the zone and without, over both transports", async () => {
    for (const name of ["db.rancher.internal", "db", "DB"]) {
      expect(dataOf(await askFrom("web", name))).toEqual([db.address])
      expect(dataOf(await askFrom("web", name, { tcp: true }))).toEqual([db.address])
    }
  })

  test("for the IPv6 address, and for the name of an address", async () => {
    const addresses = await addressesOf("eth0", "db")
    const [v6 = ""] = addresses.filter((one) => one.includes(":")).map((one) => one.split("/")[0])
    expect(dataOf(await askFrom("web", "db", { type: "AAAA" }))).toEqual([v6])
    const reverse = `${db.address.split(".").reverse().join(".")}.in-addr.arpa`
    expect(dataOf(await askFrom("web", reverse, { type: "PTR" }))).toEqual(["db.rancher.internal"])
  })

  test("for what is not there, and what is there without such a record", async () => {
    expect((await askFrom("web", "none.rancher.internal"))?.rcode).toBe("NXDOMAIN")
    const nodata = await askFrom("web", "db.rancher.internal", { type: "MX" })
    expect(nodata).toMatchObject({ rcode: "NOERROR", answers: [] })
  })

  test("for the metadata API by its name", async () => {
    expect(dataOf(await askFrom("web", "rancher-metadata"))).toEqual([DNS_SERVER])
  })

  test("for one that has gone: its name went with it", async () => {
    await attached(lab, "brief", named("brief"))
    expect(dataOf(await askFrom("web", "brief"))).toHaveLength(1)
    await removed(lab, "brief", { conf: DUAL_CONF })
    expect((await askFrom("web", "brief.rancher.internal"))?.rcode).toBe("NXDOMAIN")
  })
})

test("labels that come with the call make a service, found by search from its stack alone", async () => {
  const front = await attached(lab, "front", { conf: FRONT })
  expect(dataOf(await askFrom("web", "front.shop.rancher.internal"))).toEqual([front.address])
  expect(dataOf(await askFrom("web", "front.shop"))).toEqual([front.address])
  expect(dataOf(await askFrom("web", "shop.rancher.internal"))).toEqual([])
  const peer = await attached(lab, "peer", { conf: FRONT })
  expect(dataOf(await askFrom("peer", "front"))).toEqual([front.address, peer.address].sort())
  expect(front.result.dns).toEqual({
    nameservers: [DNS_SERVER],
    domain: "shop.rancher.internal",
    search: ["front.shop.rancher.internal", "shop.rancher.internal", "rancher.internal"],
  })
  await removed(lab, "front", { conf: FRONT })
  await removed(lab, "peer", { conf: FRONT })
})

test("a container without labels is told the server and the domain of all names", () => {
  expect(web.result.dns).toEqual({ nameservers: [DNS_SERVER], domain: "rancher.internal" })
})

test("other names are asked of the host's servers, as resolv.conf changes", async () => {
  await answeredBy("192.0.2.1")
  expect(dataOf(await askFrom("web", "example.com", { tcp: true }))).toEqual(["192.0.2.1"])
  resolvConf(OTHER_IP)
  await answeredBy("192.0.2.2")
  // Itself alone: nobody is left to ask, and nothing goes round.
  resolvConf(DNS_SERVER)
  await waitFor("nobody to be asked", async () =>
    (await askFrom("web", "example.com"))?.rcode === "SERVFAIL" ? true : undefined,
  )
  resolvConf(OUTSIDE_IP)
  await answeredBy("192.0.2.1")
})

test("a resolver of the host's own keeps its routes by domain, and short names its search", async () => {
  // As systemd-resolved, with a domain that one link's server alone has.
  await startUpstream([], "127.0.0.53", "192.0.2.3", "corp.example")
  writeResolvConf("nameserver 127.0.0.53\noptions edns0 trust-ad\nsearch corp.example\n")
  await waitFor("the domain's answer", async () =>
    dataOf(await askFrom("web", "git.corp.example")).includes("192.0.2.3") ? true : undefined,
  )
  expect((await askFrom("web", "git.elsewhere.example"))?.rcode).toBe("NXDOMAIN")
  expect(dataOf(await askFrom("web", "git"))).toEqual(["192.0.2.3", "git.corp.example"])
  expect(dataOf(await askFrom("web", "db"))).toEqual([db.address])
  resolvConf(OUTSIDE_IP)
  await answeredBy("192.0.2.1")
})

/** A change of resolv.conf is noticed within a second; the question before may wait in vain. */
async function answeredBy(data: string): Promise<void> {
  await waitFor(`the answer ${data}`, async () =>
    dataOf(await askFrom("web", "example.com")).includes(data) ? true : undefined,
  )
}

describe("doctor", () => {
  const findings = async (...checks: readonly string[]) => {
    const all: Finding[] = JSON.parse((await lab.lariat("doctor", "--json")).stdout)
    return all.filter(({ check }) => checks.includes(check))
  }

  test("finds that everybody answers", async () => {
    const found = await findings("dns", "upstream", "metadata")
    expect(found.map(({ check, state }) => `${check} ${state}`)).toEqual([
      "dns ok",
      "upstream ok",
      "metadata ok",
    ])
  })

  test("names the nameserver that does not answer, and says what to do", async () => {
    resolvConf("203.0.113.99", OUTSIDE_IP)
    const some = await findings("upstream")
    expect(some).toMatchObject([
      { state: "warning", what: expect.stringContaining("203.0.113.99"), hint: expect.anything() },
    ])
    resolvConf("203.0.113.99")
    expect(await findings("upstream")).toMatchObject([{ state: "error" }])
    resolvConf(DNS_SERVER)
    expect(await findings("upstream")).toMatchObject([{ state: "warning" }])
    resolvConf(OUTSIDE_IP)
  }, 30_000)

  test("finds that a firewall keeps everybody from DNS and metadata", async () => {
    await run(["nft", "add table ip closed"])
    await run(["nft", "add chain ip closed in { type filter hook input priority 0 ; }"])
    await run(["nft", `add rule ip closed in ip daddr ${DNS_SERVER} drop`])
    const found = await findings("dns", "metadata")
    await run(["nft", "delete table ip closed"])
    expect(found).toMatchObject([
      { check: "dns", state: "error", hint: expect.stringContaining("firewall") },
      { check: "metadata", state: "error", hint: expect.stringContaining("firewall") },
    ])
  }, 30_000)
})

test("somebody from elsewhere hears nothing", async () => {
  const before = (await lab.status()).dns?.dropped ?? 0
  expect(await askFrom(OUTSIDE, "db.rancher.internal", { waitSeconds: 1 })).toBeUndefined()
  expect(await askFrom(OUTSIDE, "db", { tcp: true, waitSeconds: 1 })).toBeUndefined()
  // They did come here.
  expect((await lab.status()).dns?.dropped).toBe(before + 2)
})

test("status tells what was asked", async () => {
  const { dns, problems } = await lab.status()
  expect(problems).toEqual([])
  expect(dns).toMatchObject({ listen: `${DNS_SERVER}:53`, listening: true, servers: [OUTSIDE_IP] })
  await askFrom("web", "db")
  expect((await lab.status()).dns?.queries).toBe((dns?.queries ?? 0) + 1)
  expect((await lab.lariat("status")).stdout).toMatch(/^dns: \d+ names, \d+ queries, /m)
})

test("a container of a network that comes later is answered", async () => {
  const conf = { ...SEED_CONF, name: "late", bridge: "late0", bridgeSubnet: "10.91.0.0/24" }
  await attached(lab, "late", { conf })
  expect(dataOf(await askFrom("late", "db"))).toEqual([db.address])
  await removed(lab, "late", { conf })
})

test("names are answered again after the agent started again", async () => {
  await lab.stopAgent()
  expect(await askFrom("web", "db", { waitSeconds: 1 })).toBeUndefined()
  await lab.startAgent()
  expect(dataOf(await askFrom("web", "db"))).toEqual([db.address])
})

test("an address that is taken away is put back", async () => {
  await run(["ip", "address", "delete", `${DNS_SERVER}/32`, "dev", "lo"])
  const data = await waitFor("the address", async () => {
    const found = dataOf(await askFrom("web", "db", { waitSeconds: 1 }))
    return found.length > 0 ? found : undefined
  })
  expect(data).toEqual([db.address])
}, 30_000)

test("where the port is taken, containers are attached without it until it is free", async () => {
  await lab.stopAgent()
  const script = `require("node:dgram").createSocket("udp4").bind(53, "${DNS_SERVER}", () => console.log(1))`
  const holder = spawn(process.execPath, ["-e", script], { stdio: ["ignore", "pipe", "inherit"] })
  await new Promise((resolve) => holder.stdout.once("data", resolve))
  await lab.startAgent()
  const what = expect.stringMatching(/^DNS cannot listen on 169\.254\.169\.250:53: /)
  expect((await lab.status()).problems).toMatchObject([{ severity: "error", what }])
  expect((await lab.lariat("status")).stdout).toContain("dns: not served")
  const { result } = await attached(lab, "early", { conf: DUAL_CONF })
  expect(result.dns).toEqual({})
  await removed(lab, "early", { conf: DUAL_CONF })
  holder.kill("SIGKILL")
  await waitFor("DNS to be served", async () =>
    (await lab.status()).dns?.listening === true ? true : undefined,
  )
  expect((await lab.status()).problems).toEqual([])
  expect(dataOf(await askFrom("web", "db"))).toEqual([db.address])
}, 60_000)

test("none switches it off", async () => {
  const off = await Lab.start({
    configs: [dualStackYaml()],
    settings: { createBridge: "always", dnsListen: "none", metadataListen: "127.0.0.9:8080" },
  })
  expect((await off.status()).dns).toBeNull()
  const { result } = await attached(off, "off", { conf: DUAL_CONF })
  expect(result.dns).toEqual({})
  await removed(off, "off", { conf: DUAL_CONF })
  await off.close()
})

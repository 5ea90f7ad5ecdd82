import { afterAll, afterEach, expect, test } from "bun:test"
import { mkdtempSync, rmSync, writeFileSync } from "node:fs"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { decode, encode, type Packet } from "dns-packet"
import type { Kernel } from "../../endpoint/kernel.ts"
import { Feed } from "../../metadata/feed.ts"
import { Model } from "../../metadata/model.ts"
import { bindUdp, type UdpSocket } from "../../sys/net/udp.ts"
import { Health } from "../health.ts"
import { EndpointIndex } from "../networks/endpoint_index.ts"
import { Networks } from "../networks/networks.ts"
import { uuidFrom } from "../state/identity.ts"
import { StateDatabase } from "../state/state_database.ts"
import { HostDns, type HostDnsSources } from "./dns_server.ts"

const directory = mkdtempSync(join(tmpdir(), "host-dns-"))
const closing: (() => unknown)[] = []
afterAll(() => rmSync(directory, { recursive: true, force: true }))
afterEach(async () => {
  for (const close of closing.splice(0).reverse()) await close()
})

/** A server with a container `db`, on a port of its own; addresses of lo need no kernel. */
function hostDns(settings: Partial<HostDnsSources["settings"]> = {}) {
  const model = new Model()
  new Feed(model, uuidFrom("environment"), uuidFrom).put({
    ...{ uuid: "u", name: "db", externalId: "x", labels: {}, addresses: ["10.42.0.3"] },
    ...{ mac: undefined, hostUuid: "h", hostIp: undefined, networkUuid: "n", createIndex: 1 },
    ...{ dns: [], dnsSearch: [] },
  })
  const stateDatabase = StateDatabase.open(":memory:", { bootId: "boot" })
  closing.push(() => stateDatabase.close())
  const health = new Health()
  const dns = new HostDns({
    settings: { dnsListen: "127.0.0.1:0", metadataListen: "169.254.169.250:80", ...settings },
    index: new EndpointIndex(),
    networks: new Networks({ stateDatabase, clock: () => 0, restMs: 0 }),
    model,
    health,
    kernel: {} as Kernel,
    resolvConf: join(directory, "resolv.conf"),
  })
  closing.push(() => dns.stop())
  return { dns, health }
}

async function ask(port: number, name: string): Promise<Packet> {
  const answer = Promise.withResolvers<Packet>()
  const socket = await bindUdp({ hostname: "127.0.0.1", port: 0 }, (bytes) =>
    answer.resolve(decode(Buffer.from(bytes))),
  )
  const questions = [{ name, type: "A" }]
  socket.send(encode({ type: "query", id: 7, flags: 0x0100, questions }), port, "127.0.0.1")
  try {
    return await answer.promise
  } finally {
    socket.close()
  }
}

/** A port that is free now. */
async function freePort(): Promise<{ port: number; socket: UdpSocket }> {
  const socket = await bindUdp({ hostname: "127.0.0.1", port: 0 }, () => undefined)
  return { port: socket.port, socket }
}

test("answers the host and counts it", async () => {
  const { port, socket } = await freePort()
  socket.close()
  const { dns, health } = hostDns({ dnsListen: `127.0.0.1:${port}` })
  expect(dns.report()).toMatchObject({ listening: false, names: 0, queries: 0 })
  await dns.start()
  expect((await ask(port, "db")).answers).toMatchObject([{ data: "10.42.0.3" }])
  expect(dns.report()).toMatchObject({ listening: true, queries: 1, failed: 0, servers: [] })
  expect(health.problems()).toEqual([])
})

test("what nobody can be asked for counts as failed, and another resolv.conf as asked", async () => {
  const { port, socket } = await freePort()
  socket.close()
  const { dns } = hostDns({ dnsListen: `127.0.0.1:${port}` })
  writeFileSync(join(directory, "resolv.conf"), "nameserver 127.0.0.1\n")
  await dns.start()
  // It is the server itself that resolv.conf names: asking it would go round for ever.
  expect((await ask(port, "example.com")).rcode).toBe("SERVFAIL")
  expect(dns.report()).toMatchObject({ recursed: 1, failed: 1, servers: ["127.0.0.1"] })
})

test("a port that is taken is a problem until it is free", async () => {
  const { port, socket } = await freePort()
  const { dns, health } = hostDns({ dnsListen: `127.0.0.1:${port}` })
  await dns.start()
  expect(health.problems()).toMatchObject([
    { severity: "error", what: expect.stringMatching(/^DNS cannot listen on 127/) },
  ])
  expect(dns.report()).toMatchObject({ listening: false })
  socket.close()
  await Bun.sleep(50)
  for (let n = 0; n < 200 && health.problems().length > 0; n++) await Bun.sleep(10)
  expect(health.problems()).toEqual([])
  expect((await ask(port, "db")).answers).toMatchObject([{ data: "10.42.0.3" }])
})

test("is told to containers only where resolv.conf can name it", async () => {
  const { dns } = hostDns()
  await dns.start()
  expect(dns.report()).toMatchObject({ listening: true })
  expect(dns.nameserver).toBeUndefined()
})

test("is not there where it is switched off", async () => {
  const { dns, health } = hostDns({ dnsListen: "none" })
  await dns.start()
  dns.ensureAddress()
  expect(dns.report()).toBeNull()
  expect(dns.nameserver).toBeUndefined()
  expect(health.problems()).toEqual([])
})

test("an address that is none is refused", async () => {
  await expect(hostDns({ dnsListen: "host:53" }).dns.start()).rejects.toThrow("ADDRESS:PORT")
})

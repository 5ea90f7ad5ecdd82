import { expect, test } from "bun:test"
import { encode, type Packet, type ResourceRecord } from "dns-packet"
import {
  queryFor,
  readPacket,
  servedBy,
  type TestServerOptions,
} from "../../test/fixtures/dns/server_fixture.ts"
import { loadObjects, parseObjectsFile } from "../metadata/objects_file.ts"
import { framed } from "./tcp_session.ts"
import { MAX_UDP_BYTES, read16 } from "./wire.ts"

const CLIENT = "10.42.0.2"

type Fields = Readonly<Record<string, unknown>>

function container(uuid: string, more: Fields = {}): Fields {
  return { metadata_kind: "container", uuid, name: uuid, state: "running", ...more }
}

function service(name: string, more: Fields = {}): Fields {
  return { metadata_kind: "service", uuid: `s-${name}`, name, stack_name: "k", ...more }
}

function member(name: string, uuid: string): Fields {
  const link = { service_uuid: `s-${name}`, service_name: name, container_uuid: uuid }
  return { metadata_kind: "serviceContainerLink", ...link }
}

function serve(objects: readonly Fields[], options: TestServerOptions = {}) {
  const served = servedBy(parseObjectsFile("t", JSON.stringify(objects)), options)
  return {
    ...served,
    async say(name: string, type = "A", more: Partial<Packet> = {}, source = CLIENT) {
      const bytes = await served.ask(queryFor(name, type, more), source)
      return readPacket(bytes)
    },
  }
}

function many(count: number): Fields[] {
  const containers = Array.from({ length: count }, (_, n) => [
    container(`c${n}`, { primary_ip: `10.42.${n >> 8}.${n & 255}` }),
    member("web", `c${n}`),
  ])
  return [service("web"), ...containers.flat()]
}

const WEB = "web.k.rancher.internal"

test("nobody outside gets an answer, on either transport", async () => {
  const { ask, server } = serve(many(1))
  for (const source of ["192.0.2.1", "8.8.8.8", "fe80::1%eth0", "junk", ""]) {
    expect(await ask(queryFor(WEB), source)).toBeUndefined()
    expect(await ask(queryFor(WEB), source, "tcp")).toBeUndefined()
  }
  expect(server.counters.queries).toBe(0)
  expect(await ask(queryFor(WEB), "127.0.0.1")).toBeDefined()
  // A socket of both families writes IPv4 addresses so.
  expect(await ask(queryFor(WEB), `::ffff:${CLIENT}`)).toBeDefined()
})

test("who was refused is answered once a container has come that makes it one of ours", async () => {
  const ours = new Set<string>()
  const isManaged = (address: string) => ours.has(address)
  const { ask, model } = serve(many(1), { environment: { isManaged } })
  expect(await ask(queryFor(WEB), "172.17.0.2")).toBeUndefined()
  ours.add("172.17.0.2")
  loadObjects(model, parseObjectsFile("t", JSON.stringify([container("new")])))
  expect(await ask(queryFor(WEB), "172.17.0.2")).toBeDefined()
})

test("a container may ask from an address that the model does not know", async () => {
  const objects = [container("c", { primary_ip: "10.42.0.9", dns_search: [WEB.slice(4)] })]
  const environment = { containerAt: () => model.container("c") }
  const { say, model } = serve([...many(1), ...objects], { environment })
  expect((await say("web")).answers).toHaveLength(1)
})

test("what no other server answers is counted", async () => {
  const servers = [{ address: "192.0.2.53", port: 53 }]
  const { say, server } = serve([], { servers })
  expect((await say("example.com")).rcode).toBe("SERVFAIL")
  expect(server.counters).toMatchObject({ recursed: 1, failed: 1, cached: 0 })
})

test("the question comes back in the case it was asked in", async () => {
  const { say } = serve(many(1))
  const answer = await say("wEb.K.RANCHER.internal")
  expect(answer.questions?.[0]?.name).toBe("wEb.K.RANCHER.internal")
  expect(answer.answers?.[0]).toMatchObject({ name: "wEb.K.RANCHER.internal", data: "10.42.0.0" })
})

test("answers come in random order, and are the same set each time", async () => {
  const { say } = serve(many(5))
  const first = new Set<unknown>()
  for (let round = 0; round < 60; round++) {
    const { answers = [] } = await say(WEB)
    expect(answers.map(({ data }) => String(data)).sort()).toEqual([
      ...["10.42.0.0", "10.42.0.1", "10.42.0.2", "10.42.0.3", "10.42.0.4"],
    ])
    expect(new Set(answers.map(({ ttl }) => ttl))).toEqual(new Set([1]))
    first.add(answers[0]?.data)
  }
  expect(first.size).toBe(5)
})

test("an answer too long for UDP is cut to its question, and whole over TCP", async () => {
  const { ask } = serve(many(200))
  const query = queryFor(WEB)
  const cut = readPacket(await ask(query, CLIENT))
  expect([cut.flag_tc, cut.answers?.length]).toEqual([true, 0])
  const whole = readPacket(await ask(query, CLIENT, "tcp"))
  expect([whole.flag_tc, whole.answers?.length]).toEqual([false, 200])
})

test("long answers over UDP are few, whoever asks for them; over TCP they are whole", async () => {
  const upstream = Array.from({ length: 40 }, (_, n) => `192.0.2.${n}`)
  const { ask, timers } = serve(many(60), {
    servers: [{ address: "192.0.2.53", port: 53 }],
    fakeUpstream(query) {
      const { id = 0, questions = [] } = readPacket(query)
      const answers = upstream.map((data): ResourceRecord => {
        return { name: "example.com", type: "A", ttl: 30, data }
      })
      return encode({ type: "response", id, questions, flags: 0x0180, answers })
    },
  })
  const edns: Partial<Packet> = {
    additionals: [
      { type: "OPT", name: ".", udpPayloadSize: 4096, ednsVersion: 0, flags: 0, options: [] },
    ],
  }
  for (const name of [WEB, "example.com"]) {
    await timers.pass(1000)
    const lengths: number[] = []
    for (let n = 0; n < 300; n++) {
      lengths.push((await ask(queryFor(name, "A", edns), CLIENT))?.length ?? 0)
    }
    expect(Math.max(...lengths)).toBeLessThanOrEqual(MAX_UDP_BYTES)
    expect(lengths.filter((length) => length > 512)).toHaveLength(100)
    const cut = readPacket(await ask(queryFor(name, "A", edns), CLIENT))
    expect([cut.flag_tc, cut.answers?.length]).toEqual([true, 0])
    const whole = readPacket(await ask(queryFor(name, "A", edns), CLIENT, "tcp"))
    expect(whole.answers?.length).toBeGreaterThanOrEqual(40)
    // It is another's allowance.
    expect(readPacket(await ask(queryFor(name, "A", edns), "10.42.0.3")).flag_tc).toBe(false)
  }
})

test("EDNS: its size holds, up to ours; its absence is respected; other versions are refused", async () => {
  const { ask, say } = serve(many(60))
  const edns = (udpPayloadSize: number, ednsVersion = 0): Partial<Packet> => ({
    additionals: [{ type: "OPT", name: ".", udpPayloadSize, ednsVersion, flags: 0, options: [] }],
  })
  expect((await say(WEB)).flag_tc).toBe(true)
  expect((await say(WEB)).additionals).toEqual([])
  // 60 answers: 12 + 28 + 60 × 16 + 11 bytes.
  const enough = await say(WEB, "A", edns(1011))
  expect([enough.flag_tc, enough.answers?.length]).toEqual([false, 60])
  expect(enough.additionals).toMatchObject([{ type: "OPT", udpPayloadSize: MAX_UDP_BYTES }])
  expect((await say(WEB, "A", edns(1010))).flag_tc).toBe(true)
  const huge = serve(many(200))
  expect((await huge.say(WEB, "A", edns(65_535))).flag_tc).toBe(true)
  const bytes = (await ask(queryFor(WEB, "A", edns(1232, 1)), CLIENT)) ?? new Uint8Array(0)
  expect([read16(bytes, 2) & 15, bytes.at(-6)]).toEqual([0, 1])
  // Smaller than 512 counts as 512 (RFC 6891 §6.2.3).
  const small = serve(many(20))
  expect((await small.say(WEB, "A", edns(100))).answers).toHaveLength(20)
})

test("the most containers that an answer holds", async () => {
  const { ask } = serve(many(5000))
  const { answers = [] } = readPacket(await ask(queryFor(WEB), CLIENT, "tcp"))
  expect(answers).toHaveLength(2048)
})

test("what is there but not of that type is NODATA, what is not there NXDOMAIN", async () => {
  const { say } = serve(many(1))
  for (const type of ["AAAA", "TXT", "SRV", "MX", "PTR"]) {
    const { rcode, answers, authorities } = await say(WEB, type)
    expect([rcode, answers?.length, authorities?.[0]?.type]).toEqual(["NOERROR", 0, "SOA"])
  }
  const missing = await say(`no.${WEB}`)
  expect([missing.rcode, missing.authorities?.[0]?.name]).toEqual(["NXDOMAIN", "rancher.internal"])
  // Found by search: an SOA of the zone would not be believed for this name.
  const searched = await say("web.k", "AAAA")
  expect([searched.rcode, searched.authorities]).toEqual(["NOERROR", []])
  expect((await say("rancher.internal", "SOA")).answers).toHaveLength(1)
  expect((await say("x.invalid")).rcode).toBe("NXDOMAIN")
  expect((await say("x.localhost")).answers?.[0]?.data).toBe("127.0.0.1")
})

test("published ports are SRV records, by private and by public number, with addresses", async () => {
  const { say } = serve([
    service("web", { ports: ["8080:80/tcp"] }),
    container("c0", { primary_ip: "10.42.0.5", ports: ["127.0.0.1:5353:53/udp"] }),
    member("web", "c0"),
  ])
  for (const [name, port] of [
    [`_80._tcp.${WEB}`, 80],
    [`_8080._TCP.${WEB}`, 80],
    [`_53._udp.${WEB}`, 53],
    ["_5353._udp.c0.rancher.internal", 53],
    ["_80._tcp.web.k", 80],
  ] as const) {
    const { answers, additionals } = await say(name, "SRV")
    expect(answers).toMatchObject([
      { type: "SRV", ttl: 1, data: { port, target: "c0.rancher.internal", weight: 0 } },
    ])
    expect(additionals).toMatchObject([{ name: "c0.rancher.internal", data: "10.42.0.5" }])
  }
  expect((await say(`_81._tcp.${WEB}`, "SRV")).rcode).toBe("NXDOMAIN")
  const address = await say(`_80._tcp.${WEB}`, "A")
  expect([address.rcode, address.answers]).toEqual(["NOERROR", []])
})

test("links are for those that have them, a container's and its services'", async () => {
  const link = (key: string, value: string) => ({ service_uuid: "s-web", key, value })
  const { say, model } = serve([
    ...many(3),
    service("db"),
    container("d", { primary_ip: "10.42.9.1", links: { peer: "c1" } }),
    member("db", "d"),
    { metadata_kind: "serviceLink", ...link("K/DB", "MyDB") },
    { metadata_kind: "serviceLink", ...link("a/b/c", "far") },
    { metadata_kind: "serviceLink", ...link("Home/K/DB", "near") },
    { metadata_kind: "environment", uuid: "e", name: "home" },
  ])
  const at = async (name: string, source: string) =>
    (await say(name, "A", {}, source)).answers?.[0]?.data
  for (const name of ["mydb", "mydb.k", "mydb.k.rancher.internal", "MYDB.rancher.internal"]) {
    expect(await at(name, "10.42.0.1")).toBe("10.42.9.1")
    expect(await at(name, "10.42.9.1")).toBeUndefined()
  }
  for (const name of ["near", "near.k"]) expect(await at(name, "10.42.0.1")).toBe("10.42.9.1")
  for (const name of ["far", "far.b"]) expect(await at(name, "10.42.0.1")).toBeUndefined()
  expect(await at("peer", "10.42.9.1")).toBe("10.42.0.1")
  expect(await at("peer", "10.42.0.1")).toBeUndefined()
  const [web] = model.services.filter(({ name }) => name === "web")
  if (web !== undefined) model.put({ ...web, links: {} })
  expect(await at("mydb", "10.42.0.1")).toBeUndefined()
})

test("a query that is none, or asks what nobody can, is refused in the right words", async () => {
  const { ask } = serve(many(1))
  /** The code of the answer to a query with these bytes in it, from an offset, or cut there. */
  const code = async (at: number, ...bytes: number[]) => {
    const query = queryFor(WEB)
    const offset = at < 0 ? query.length + at : at
    query.set(bytes, offset)
    const answer = await ask(bytes.length === 0 ? query.subarray(0, offset) : query, CLIENT)
    return answer === undefined ? "silence" : readPacket(answer).rcode
  }
  expect(await code(2, 0x80)).toBe("silence")
  expect(await code(11)).toBe("silence")
  // Opcode UPDATE; two questions, none; an answer in a query; a pointer; cut off.
  expect(await code(2, 0x28)).toBe("NOTIMP")
  expect(await code(5, 2)).toBe("FORMERR")
  expect(await code(5, 0)).toBe("FORMERR")
  expect(await code(7, 1)).toBe("FORMERR")
  expect(await code(12, 0xc0, 12)).toBe("FORMERR")
  expect(await code(20)).toBe("FORMERR")
  // Class CHAOS; type AXFR.
  expect(await code(-1, 3)).toBe("NOTIMP")
  expect(await code(-3, 252)).toBe("NOTIMP")
  expect(await code(2, 0, 0)).toBe("NOERROR")
  // Without RD, a name that is not ours.
  const outside = queryFor("example.com")
  outside[2] = 0
  expect(readPacket(await ask(outside, CLIENT)).rcode).toBe("REFUSED")
})

test("addresses of the networks have no names elsewhere", async () => {
  const { say } = serve(many(1))
  const missing = await say("9.9.42.10.in-addr.arpa", "PTR")
  expect(missing.rcode).toBe("NXDOMAIN")
  expect(missing.authorities?.[0]).toMatchObject({ type: "SOA", name: "9.42.10.in-addr.arpa" })
  expect((await say("9.9.43.10.in-addr.arpa", "PTR")).rcode).toBe("SERVFAIL")
  expect((await say("250.169.254.169.in-addr.arpa", "PTR")).answers?.[0]?.data).toBe(
    "rancher-metadata.rancher.internal",
  )
})

test("what nobody else can know, or must hear of, is asked of no other server", async () => {
  const told: string[] = []
  const { say } = serve(many(1), {
    servers: [{ address: "192.0.2.53", port: 53 }],
    fakeUpstream(query) {
      const { id = 0, questions = [] } = readPacket(query)
      told.push((questions[0]?.name ?? "").toLowerCase())
      return encode({ type: "response", id, questions, flags: 0x0183 })
    },
  })
  const rcodes = async (names: readonly string[], type = "A") =>
    new Set(await Promise.all(names.map(async (name) => (await say(name, type)).rcode)))
  const single = ["mydb", "COM", "_gateway"]
  const special = ["printer.local", "local", "a.b.Local", "abcdef.onion", "x.invalid"]
  expect(await rcodes([...single, ...special])).toEqual(new Set(["NXDOMAIN"]))
  expect(await rcodes(single, "HTTPS")).toEqual(new Set(["NXDOMAIN"]))
  const reverse = [
    ...["9.9.42.10", "x.9.9.42.10", "0/25.9.42.10", "7.7.254.169", "9.0.0.127", "1.2.3.0"],
    "255.255.255.255",
  ].map((name) => `${name}.in-addr.arpa`)
  expect(await rcodes([...reverse, `${"0.".repeat(28)}0.8.e.f.ip6.arpa`], "PTR")).toEqual(
    new Set(["NXDOMAIN"]),
  )
  // There are names below these.
  for (const name of ["9.42.10.in-addr.arpa", "42.10.in-addr.arpa"]) {
    expect((await say(name, "PTR")).rcode).toBe("NOERROR")
  }
  expect(told).toEqual([])
  // The host's servers may know the names of the host's own networks.
  const asked = ["10.in-addr.arpa", "1.1.168.192.in-addr.arpa", "notlocal.example", "x.notlocal"]
  await rcodes(asked, "PTR")
  await rcodes(["com"], "NS")
  expect(told.sort()).toEqual([...asked, "com"].sort())
})

test("connections are counted, per client and in all", () => {
  const { server } = serve([], { maxConnections: 3, maxConnectionsPerClient: 2 })
  const open = (address: string) =>
    server.connection({ address, write: () => undefined, close: () => undefined })
  const [a, b] = [open("10.42.0.1"), open("10.42.0.1")]
  expect(open("10.42.0.1")).toBeUndefined()
  a?.end()
  a?.end()
  const c = open("10.42.0.1")
  expect(open("10.42.0.1")).toBeUndefined()
  expect([b, c]).not.toContain(undefined)
})

test("who has most connections makes room for who has fewer: the one that asked longest ago", async () => {
  const { server } = serve([], { maxConnections: 4, maxConnectionsPerClient: 3 })
  const closed: string[] = []
  const open = (name: string, address: string) => {
    let connection: ReturnType<typeof server.connection>
    const close = () => {
      closed.push(name)
      connection?.end()
    }
    connection = server.connection({ address, write: () => undefined, close })
    return connection
  }
  const busy = open("a0", "10.42.0.1")
  for (const name of ["a1", "a2"]) open(name, "10.42.0.1")
  open("b0", "10.42.0.2")
  busy?.data(framed(queryFor(WEB)))
  expect(open("c0", "10.42.0.3")).toBeDefined()
  expect(closed).toEqual(["a1"])
  // Two of a, one of b and c each: b may have another one of a's, and then nobody has more.
  expect(open("b1", "10.42.0.2")).toBeDefined()
  expect(closed).toEqual(["a1", "a2"])
  expect(open("b2", "10.42.0.2")).toBeUndefined()
  expect(open("d0", "10.42.0.4")).toBeDefined()
  expect(closed).toEqual(["a1", "a2", "b2", "b0"])
})

test("no container takes the place of the metadata API, nor of a name elsewhere", async () => {
  const { say } = serve([
    container("rancher-metadata", { primary_ip: "10.42.0.66" }),
    container("c", { name: "www.example.com", primary_ip: "10.42.0.67" }),
  ])
  const addresses = async (name: string) => (await say(name)).answers?.map(({ data }) => data)
  expect(await addresses("rancher-metadata.rancher.internal")).toEqual(["169.254.169.250"])
  expect((await say("www.example.com")).rcode).toBe("SERVFAIL")
  expect(await addresses("www.example.com.rancher.internal")).toEqual(["10.42.0.67"])
})

test("of a container in two networks, the address is answered that the asker can reach", async () => {
  const networks = ["10.42", "10.43", "fd00:43"]
  const networkOf = (address: string) => networks.find((start) => address.startsWith(start))
  const ips = ["10.42.0.9", "10.43.0.9", "fd00:42::9", "fd00:43::9"]
  const { say, model } = serve([container("w", { name: "web", primary_ip: ips[0], ips })], {
    managed: "10.0.0.0/8",
    environment: { networkOf },
  })
  const asked = async (from: string, type = "A") =>
    (await say("web.rancher.internal", type, {}, from)).answers?.map(
      (one) => "data" in one && one.data,
    )
  expect(await asked("10.42.0.2")).toEqual(["10.42.0.9"])
  expect(await asked("10.43.0.2")).toEqual(["10.43.0.9"])
  expect(await asked("10.44.0.2")).toEqual(["10.42.0.9"])
  expect((await asked("10.43.0.2", "AAAA"))?.sort()).toEqual(["fd00:42::9", "fd00:43::9"])
  // It leaves that network, and is answered by what is left.
  const record = model.container("w")
  if (record !== undefined) model.put({ ...record, ips: ["10.42.0.9"] })
  expect(await asked("10.43.0.2")).toEqual(["10.42.0.9"])
})

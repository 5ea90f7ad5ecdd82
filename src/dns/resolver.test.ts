import { expect, test } from "bun:test"
import { encode, type Packet, type ResourceRecord } from "dns-packet"
import {
  type FakeUpstream,
  queryFor,
  readPacket,
  servedBy,
  settled,
} from "../../test/fixtures/dns/server_fixture.ts"
import { parseObjectsFile } from "../metadata/objects_file.ts"
import { read16 } from "./wire.ts"

const CLIENT = "10.42.0.2"
const SERVERS = [
  { address: "192.0.2.53", port: 53 },
  { address: "192.0.2.54", port: 53 },
]

/** What a server elsewhere says, of whatever it is asked. */
function says(query: Uint8Array, more: Partial<Packet> & { rcode?: string; code?: number }) {
  const { id = 0, questions = [] } = readPacket(query)
  const { code = 0, ...rest } = more
  return encode({ type: "response", id, questions, flags: 0x0180 | code, ...rest })
}

function nameIn(query: Uint8Array | undefined): string {
  return readPacket(query).questions?.[0]?.name ?? ""
}

const A: ResourceRecord = { name: "example.com", type: "A", ttl: 30, data: "192.0.2.7" }
const SOA: ResourceRecord = {
  name: "com",
  type: "SOA",
  ttl: 900,
  data: { mname: "m.com", rname: "r.com", serial: 1, refresh: 1, retry: 1, expire: 1, minimum: 60 },
}

interface Asked {
  readonly query: Uint8Array
  readonly transport: string
  readonly address: string
}

function serve(answer: FakeUpstream, objects: readonly unknown[] = [], more = {}) {
  const asked: Asked[] = []
  const file = parseObjectsFile("t", JSON.stringify(objects))
  const served = servedBy(file, {
    servers: SERVERS,
    ...more,
    fakeUpstream(query, transport, server) {
      asked.push({ query: query.slice(), transport, address: server.address })
      return answer(query, transport, server)
    },
  })
  return {
    ...served,
    asked,
    async say(name: string, type = "A", options: Partial<Packet> = {}) {
      const bytes = await served.ask(queryFor(name, type, options), CLIENT)
      return readPacket(bytes)
    },
  }
}

test("an answer of another server is passed on, with the client's id, case and flags", async () => {
  const { say, asked } = serve((query) => says(query, { answers: [A] }))
  const answer = await say("Example.COM", "A", { id: 4711 })
  expect(answer).toMatchObject({ id: 4711, rcode: "NOERROR", flag_ra: true, flag_aa: false })
  expect(answer.questions?.[0]?.name).toBe("Example.COM")
  expect(answer.answers).toMatchObject([{ type: "A", ttl: 30, data: "192.0.2.7" }])
  expect(answer.additionals).toEqual([])
  expect(asked).toHaveLength(1)
  expect(readPacket(asked[0]?.query).additionals).toMatchObject([
    { type: "OPT", udpPayloadSize: 1232 },
  ])
})

test("it is kept for its TTL, which grows shorter", async () => {
  const { say, asked, timers } = serve((query) => says(query, { answers: [A] }))
  await say("example.com")
  await timers.pass(10_500)
  expect((await say("EXAMPLE.com")).answers?.[0]?.ttl).toBe(20)
  expect(asked).toHaveLength(1)
  await timers.pass(20_000)
  expect((await say("example.com")).answers?.[0]?.ttl).toBe(30)
  expect(asked).toHaveLength(2)
})

test("that a name is not there is kept as its SOA says, and not without one", async () => {
  const first = serve((query) => says(query, { code: 3, authorities: [SOA] }))
  expect((await first.say("no.com")).rcode).toBe("NXDOMAIN")
  expect((await first.say("no.com")).authorities?.[0]?.type).toBe("SOA")
  expect(first.asked).toHaveLength(1)
  await first.timers.pass(61_000)
  await first.say("no.com")
  expect(first.asked).toHaveLength(2)
  const second = serve((query) => says(query, { code: 3 }))
  await second.say("no.com")
  await second.say("no.com")
  expect(second.asked).toHaveLength(2)
})

test("SERVFAIL is asked of the next server, and not kept", async () => {
  const { say, asked } = serve((query) => says(query, { code: 2 }))
  expect((await say("example.com")).rcode).toBe("SERVFAIL")
  expect(asked.map(({ address }) => address)).toEqual(["192.0.2.53", "192.0.2.54"])
  expect((await say("example.com")).rcode).toBe("SERVFAIL")
  expect(asked).toHaveLength(4)
})

test("the first server is asked as long as it answers, however slowly, and its NXDOMAIN counts", async () => {
  const { say, asked, timers } = serve((query, _, { address }) =>
    address === "192.0.2.53" ? says(query, { code: 3 }) : says(query, { answers: [A] }),
  )
  for (let n = 0; n < 5; n++) {
    expect((await say(`n${n}.example.com`)).rcode).toBe("NXDOMAIN")
    await timers.pass(100)
  }
  expect(new Set(asked.map(({ address }) => address))).toEqual(new Set(["192.0.2.53"]))
})

test("the next is asked while the first does not answer, and soon after the first again", async () => {
  let isAway = true
  const { say, asked, timers } = serve((query, _, { address }) => {
    if (address === "192.0.2.53") {
      return isAway ? undefined : says(query, { answers: [{ ...A, name: nameIn(query) }] })
    }
    return says(query, { code: 3, authorities: [SOA] })
  })
  const whoAnswers = async (name: string) => {
    asked.length = 0
    return [(await say(name)).rcode, asked.map(({ address }) => address.slice(-2)).join()]
  }
  // Once more after half a second, for a lost packet; after a second the next.
  expect(await whoAnswers("a.example.com")).toEqual(["NXDOMAIN", "53,53,54"])
  // Nobody waits again for it, until it may be back.
  expect(await whoAnswers("b.example.com")).toEqual(["NXDOMAIN", "54"])
  await timers.pass(5000)
  // The client has the second's answer after a moment; the first is asked on.
  expect(await whoAnswers("c.example.com")).toEqual(["NXDOMAIN", "53,54,53"])
  expect(await whoAnswers("d.example.com")).toEqual(["NXDOMAIN", "54"])
  isAway = false
  await timers.pass(5000)
  expect(await whoAnswers("e.example.com")).toEqual(["NOERROR", "53"])
  // What the other one said in its place is forgotten by then, whatever its SOA allows.
  expect(await whoAnswers("d.example.com")).toEqual(["NOERROR", "53"])
  expect((await serve(() => undefined).say("example.com")).rcode).toBe("SERVFAIL")
})

test("a server that fails for one name is not away for others", async () => {
  const { say, asked } = serve((query, _, { address }) => {
    const name = nameIn(query)
    return address === "192.0.2.53" && name.toLowerCase() === "bad.com"
      ? says(query, { code: 2 })
      : says(query, { answers: [{ ...A, name }] })
  })
  await say("bad.com")
  await say("good.com")
  const places = asked.map(({ address }) => address)
  expect(places).toEqual(["192.0.2.53", "192.0.2.54", "192.0.2.53"])
})

test("a cut-off answer is asked for again over TCP", async () => {
  const { say, asked } = serve((query, transport) =>
    transport === "udp"
      ? says(query, { flags: 0x0380 })
      : says(query, { answers: Array(100).fill(A) }),
  )
  const cut = await say("example.com")
  expect([cut.flag_tc, cut.answers?.length]).toEqual([true, 0])
  expect(asked.map(({ transport }) => transport)).toEqual(["udp", "tcp"])
})

test("an answer to another question, of another id, or broken, is none", async () => {
  const wrong: FakeUpstream[] = [
    (query) => says(query, { answers: [A], id: (readPacket(query).id ?? 0) ^ 1 }),
    (query) => says(query, { answers: [A], questions: [{ name: "example.org", type: "A" }] }),
    (query) => says(query, { answers: [A] }).subarray(0, -2),
    (query) => query,
    () => new Uint8Array(0),
  ]
  for (const answer of wrong)
    expect((await serve(answer).say("example.com")).rcode).toBe("SERVFAIL")
})

test("a server from before EDNS is asked without", async () => {
  const { say, asked } = serve((query) =>
    read16(query, 10) === 1 ? says(query, { code: 1 }) : says(query, { answers: [A] }),
  )
  expect((await say("example.com")).answers).toHaveLength(1)
  expect(asked).toHaveLength(2)
})

test("letters are asked for in random case, and must come back so over UDP", async () => {
  const echo = serve((query) => says(query, { answers: [A] }))
  expect((await echo.say("example.com")).rcode).toBe("NOERROR")
  const name = nameIn(echo.asked[0]?.query)
  expect([name === name.toLowerCase(), name.toLowerCase()]).toEqual([false, "example.com"])
  // Nobody else sees it, where the server wrote it out.
  const written = serve((query) => says(query, { answers: [{ ...A, name: nameIn(query) }] }))
  expect((await written.say("Example.com")).answers?.[0]?.name).toBe("example.com")
})

/** What a server answers that has names in lower case. */
function folded(query: Uint8Array, data: string): Uint8Array {
  return says(query, {
    answers: [{ ...A, data }],
    questions: [{ name: nameIn(query).toLowerCase(), type: "A" }],
  })
}

test("a server that does not keep the case is asked over TCP", async () => {
  const { say, asked } = serve((query, transport) =>
    folded(query, transport === "tcp" ? "192.0.2.1" : "192.0.2.66"),
  )
  expect((await say("example.com")).answers?.[0]?.data).toBe("192.0.2.1")
  expect(asked.map(({ transport }) => transport)).toEqual(["udp", "tcp"])
})

test("one that has no TCP is asked again in lower case, and anew", async () => {
  const { say, asked } = serve((query, transport) =>
    transport === "tcp" ? undefined : folded(query, "192.0.2.1"),
  )
  expect((await say("EXAMPLE.com")).answers?.[0]?.data).toBe("192.0.2.1")
  expect(asked.map(({ transport }) => transport)).toEqual(["udp", "tcp", "udp"])
  expect(nameIn(asked[2]?.query)).toBe("example.com")
  expect(read16(asked[2]?.query ?? new Uint8Array(0), 0)).not.toBe(
    read16(asked[0]?.query ?? new Uint8Array(0), 0),
  )
})

test("one question of many clients is asked once; with too many others, not at all", async () => {
  const { server, asked, timers } = serve(() => undefined, [], { upstream: { maxInFlight: 2 } })
  const codes: number[] = []
  const ask = (name: string) =>
    server.datagram(queryFor(name), 1, CLIENT, (bytes) => void codes.push(read16(bytes, 2) & 15))
  for (let n = 0; n < 5; n++) ask("example.com")
  await settled()
  expect(asked).toHaveLength(1)
  ask("example.org")
  ask("example.net")
  await settled()
  expect(codes).toEqual([2])
  await timers.pass(5000)
  expect(codes).toHaveLength(7)
})

test("a name elsewhere stands before what that name has", async () => {
  const external = { metadata_kind: "service", uuid: "e", name: "ext", stack_name: "k" }
  const objects = [{ ...external, kind: "externalService", hostname: "www.example.com" }]
  const { say, asked } = serve(
    (query) =>
      says(query, {
        answers: [
          { name: "www.example.com", type: "CNAME", ttl: 9, data: "example.com" },
          { ...A },
          { name: "example.com", type: "TXT", ttl: 9, data: ["left out"] },
        ],
      }),
    objects,
  )
  const { answers } = await say("ext.k.rancher.internal")
  expect(nameIn(asked[0]?.query).toLowerCase()).toBe("www.example.com")
  expect(answers).toMatchObject([
    { name: "ext.k.rancher.internal", type: "CNAME", data: "www.example.com" },
    { name: "www.example.com", type: "CNAME", ttl: 9, data: "example.com" },
    { name: "example.com", type: "A", ttl: 30, data: "192.0.2.7" },
  ])
  expect((await say("ext.k", "CNAME")).answers).toHaveLength(1)
  expect(asked).toHaveLength(1)
})

test("a container's own servers are asked first, but never this one", async () => {
  const base = { metadata_kind: "container", uuid: "c", name: "c", primary_ip: CLIENT }
  const dns = ["169.254.169.250", "127.0.0.11", "198.51.100.1", "junk"]
  const { say, asked, server } = serve(() => undefined, [{ ...base, dns }])
  await say("example.com")
  const order = [...new Set(asked.map(({ address }) => address))]
  expect(order).toEqual(["198.51.100.1", "192.0.2.53", "192.0.2.54"])
  server.setResolver({ servers: [], search: [] })
  asked.length = 0
  await say("example.org")
  expect(new Set(asked.map(({ address }) => address))).toEqual(new Set(["198.51.100.1"]))
})

test("one client's names elsewhere do not keep others from theirs", async () => {
  const { server, asked, timers } = serve(() => undefined, [], { maxRecursionsPerClient: 3 })
  const codes = new Map<string, number[]>()
  const ask = (name: string, source: string) =>
    server.datagram(queryFor(name), 1, source, (bytes) => {
      codes.set(source, [...(codes.get(source) ?? []), read16(bytes, 2) & 15])
    })
  for (let n = 0; n < 5; n++) ask(`n${n}.example.com`, CLIENT)
  expect(codes.get(CLIENT)).toEqual([2, 2])
  ask("other.example.com", "10.42.0.3")
  await settled()
  expect(codes.get("10.42.0.3")).toBeUndefined()
  expect(asked).toHaveLength(4)
  await timers.pass(5000)
  ask("later.example.com", CLIENT)
  await settled()
  expect(asked.length).toBeGreaterThan(4)
  expect(codes.get(CLIENT)).toHaveLength(5)
})

test("queries that wait for other servers are bounded in all, also of many clients", async () => {
  const { server, timers } = serve(() => undefined, [], { maxRecursions: 2 })
  const refused: string[] = []
  const ask = (source: string) =>
    server.datagram(queryFor("example.com"), 1, source, () => refused.push(source))
  for (const source of [CLIENT, "10.42.0.3", "10.42.0.4"]) ask(source)
  expect(refused).toEqual(["10.42.0.4"])
  await timers.pass(5000)
  refused.length = 0
  ask("10.42.0.4")
  await settled()
  expect(refused).toEqual([])
})

/** A server that knows one name, and says that it has no other. */
function knows(name: string): FakeUpstream {
  return (query) =>
    readPacket(query).questions?.[0]?.name.toLowerCase() === name
      ? says(query, { answers: [{ ...A, name }] })
      : says(query, { code: 3, authorities: [{ ...SOA, name: "example" }] })
}

const namesOf = (asked: readonly Asked[]) =>
  asked.map(({ query }) => readPacket(query).questions?.[0]?.name.toLowerCase())

test("a name of one label is found by the host's search domains, as an alias", async () => {
  const search = ["lab.example", "corp.example"]
  const { say, asked, server } = serve(knows("printer.corp.example"), [], { search })
  for (const name of ["printer", "PRINTER"]) {
    const { rcode, answers } = await say(name)
    expect(rcode).toBe("NOERROR")
    expect(answers).toMatchObject([
      { name, type: "CNAME", data: "printer.corp.example" },
      { name: "printer.corp.example", type: "A", data: "192.0.2.7" },
    ])
  }
  expect(namesOf(asked)).toEqual(["printer.lab.example", "printer.corp.example"])
  expect(server.counters).toMatchObject({ recursed: 1, cached: 1 })
})

test("where no search domain has it, it is not there; others are asked as they are", async () => {
  const { say, asked } = serve(knows("plain"), [], { search: ["corp.example"] })
  for (const name of ["plain", "plain", "two.labels"]) {
    expect((await say(name)).rcode).toBe("NXDOMAIN")
  }
  expect(namesOf(asked)).toEqual(["plain.corp.example", "two.labels"])
})

test("other search domains of the host count from the next question on", async () => {
  const { say, server } = serve(knows("printer.corp.example"))
  expect((await say("printer")).rcode).toBe("NXDOMAIN")
  server.setResolver({ servers: SERVERS, search: ["corp.example"] })
  expect((await say("printer")).rcode).toBe("NOERROR")
})

test("a container of that name comes before any search domain", async () => {
  const objects = [{ metadata_kind: "container", uuid: "p", name: "printer", primary_ip: CLIENT }]
  const { say, asked } = serve(knows("printer.corp.example"), objects, { search: ["corp.example"] })
  expect((await say("printer")).answers).toMatchObject([{ data: CLIENT }])
  expect(asked).toEqual([])
})

import { describe, expect, test } from "bun:test"
import { decode, encode, type Packet } from "dns-packet"
import { listenTcp } from "../../sys/net/tcp_server.ts"
import { bindUdp } from "../../sys/net/udp.ts"
import type { DnsReport } from "../report.ts"
import { probeServices, type ServiceSockets } from "./service_probe.ts"

const dns = { listen: "169.254.169.250:53" } as DnsReport
const metadata = { listen: "169.254.169.250:80" }
const upstream = { address: "192.0.2.53", port: 53 }

/** Sockets behind which everything is well, but for what is given. */
function sockets(more: Partial<ServiceSockets> = {}): ServiceSockets & { asked: string[] } {
  const asked: string[] = []
  return {
    asked,
    askDns: async ({ address }, query) => {
      const { questions = [] } = decode(Buffer.from(query))
      const name = questions[0]?.name ?? ""
      asked.push(`${address} ${questions[0]?.type} ${name}`)
      const data = "169.254.169.250"
      return answerTo(query, name === "." ? {} : { answers: [{ name, type: "A", ttl: 1, data }] })
    },
    askHttp: async ({ address, port }, path) => {
      asked.push(`${address} ${port} ${path}`)
      return 200
    },
    ...more,
  }
}

function answerTo(query: Uint8Array, more: Partial<Packet> = {}): Uint8Array {
  const { id = 0, questions = [] } = decode(Buffer.from(query))
  return encode({ type: "response", id, questions, ...more })
}

/** An answer without records; `flags` has the code. */
const coded = (rcode: number) => async (_: unknown, query: Uint8Array) =>
  answerTo(query, { flags: rcode })

test("each server is asked for what it must know", async () => {
  const all = sockets()
  expect(await probeServices({ dns, metadata }, [upstream], all)).toEqual({
    dns: { at: "169.254.169.250", state: "ok" },
    upstreams: [{ at: "192.0.2.53", state: "ok" }],
    metadata: { at: "169.254.169.250", state: "ok" },
  })
  expect(all.asked.sort()).toEqual([
    "169.254.169.250 80 /latest/version",
    "169.254.169.250 A rancher-metadata.rancher.internal",
    "192.0.2.53 NS .",
  ])
})

test("a resolv.conf that names this very server names nobody", async () => {
  const own = { address: "169.254.169.250", port: 53 }
  const { upstreams } = await probeServices({ dns, metadata }, [own], sockets())
  expect(upstreams).toEqual([])
})

test("servers on all addresses and on other ports are asked there", async () => {
  const all = sockets()
  const listen = { dns: { ...dns, listen: "0.0.0.0:5353" }, metadata: { listen: "[::]:8080" } }
  const found = await probeServices(listen, [], all)
  expect(found.dns).toEqual({ at: "127.0.0.1 port 5353", state: "ok" })
  expect(all.asked).toContain("::1 8080 /latest/version")
})

test("what is switched off is not asked", async () => {
  const all = sockets()
  expect(await probeServices({ dns: null }, [], all)).toEqual({
    dns: null,
    upstreams: [],
    metadata: undefined,
  })
  expect(all.asked).toEqual([])
})

describe("a fault is told", () => {
  test("an answer without the name", async () => {
    const found = await probeServices({ dns, metadata }, [], sockets({ askDns: coded(3) }))
    expect(found.dns).toMatchObject({ state: "wrong", fault: expect.stringContaining("NXDOMAIN") })
  })

  test.each([
    [2, "SERVFAIL"],
    [5, "REFUSED"],
  ])("a nameserver that answers with code %d", async (code, text) => {
    const found = await probeServices({ dns: null, metadata }, [upstream], {
      ...sockets(),
      askDns: coded(code),
    })
    expect(found.upstreams).toEqual([
      { at: "192.0.2.53", state: "wrong", fault: `it answers ${text}` },
    ])
  })

  test("silence, of one and not of the others", async () => {
    const other = { address: "192.0.2.54", port: 53 }
    const all = sockets()
    const { upstreams } = await probeServices({ dns, metadata }, [upstream, other], {
      ...all,
      askDns: async (server, query) => {
        if (server.address === other.address) throw new Error("no answer within 3 s")
        return await all.askDns(server, query)
      },
    })
    expect(upstreams).toEqual([
      { at: "192.0.2.53", state: "ok" },
      { at: "192.0.2.54", state: "silent", fault: "no answer within 3 s" },
    ])
  })

  test("an HTTP server that is another", async () => {
    const { metadata: found } = await probeServices({ dns: null, metadata }, [], {
      ...sockets(),
      askHttp: async () => 404,
    })
    expect(found).toEqual({
      at: "169.254.169.250",
      state: "wrong",
      fault: "it answers with status 404",
    })
  })
})

test.each([
  ["HTTP/1.1 200 OK\r\n\r\n", { state: "ok" }],
  ["HTTP/1.1 403 Forbidden\r\n\r\n", { state: "wrong", fault: "it answers with status 403" }],
  ["SSH-2.0-OpenSSH_9.9", { state: "silent", fault: expect.stringContaining("HTTP") }],
])("with a real socket: %j", async (says, expected) => {
  const server = await listenTcp({ hostname: "127.0.0.1", port: 0 }, (connection) => ({
    data: () => connection.write(new TextEncoder().encode(says)),
    end: () => undefined,
  }))
  const { metadata: found } = await probeServices(
    { dns: null, metadata: { listen: `127.0.0.1:${server.port}` } },
    [],
  )
  server.stop()
  expect(found).toMatchObject(expected)
})

test("with real sockets: an answer, and nobody there", async () => {
  const serving = await bindUdp({ hostname: "127.0.0.1", port: 0 }, (bytes, port, address, send) =>
    send(answerTo(bytes), port, address),
  )
  const there = { address: "127.0.0.1", port: serving.port }
  const first = await probeServices({ dns: null }, [there])
  serving.close()
  const second = await probeServices({ dns: null }, [there])
  expect(first.upstreams).toEqual([{ at: `127.0.0.1 port ${there.port}`, state: "ok" }])
  expect(second.upstreams).toMatchObject([{ state: "silent" }])
}, 10_000)

import { expect, test } from "bun:test"
import fc from "fast-check"
import { FakeTimers } from "../../test/fixtures/dns/server_fixture.ts"
import { framed, MESSAGE_MS, TcpSession } from "./tcp_session.ts"

const timers = new FakeTimers()

function session(reply: (query: Uint8Array) => Uint8Array | undefined) {
  const queries: string[] = []
  const written: string[] = []
  const state = { closed: 0 }
  const connection = {
    address: "10.0.0.1",
    write: (bytes: Uint8Array) => void written.push(bytes.toHex()),
    close: () => {
      state.closed += 1
    },
  }
  const tcp = new TcpSession(connection, timers, (query, answer) => {
    queries.push(query.toHex())
    answer(reply(query))
  })
  return { tcp, queries, written, state }
}

const message = fc.uint8Array({ minLength: 12, maxLength: 40 })

test("messages come out as they went in, however the stream is cut", () => {
  fc.assert(
    fc.property(fc.array(message, { maxLength: 5 }), fc.array(fc.nat(20)), (messages, cuts) => {
      const { tcp, queries, written, state } = session((query) => query)
      const stream = Buffer.concat(messages.map(framed))
      let at = 0
      for (const cut of cuts) {
        tcp.data(stream.subarray(at, at + cut))
        at += cut
      }
      tcp.data(stream.subarray(at))
      expect(queries).toEqual(messages.map((one) => one.toHex()))
      expect(written).toEqual(messages.map((one) => framed(one).toHex()))
      expect(state.closed).toBe(0)
    }),
  )
})

test("a message too short or too long, or one that has no answer, ends the connection", () => {
  for (const length of [0, 11, 4097, 65_535]) {
    const { tcp, state, queries } = session((query) => query)
    tcp.data(Uint8Array.of(length >> 8, length & 255))
    tcp.data(new Uint8Array(20))
    expect([state.closed, queries.length]).toEqual([1, 0])
  }
  const { tcp, state, queries } = session(() => undefined)
  tcp.data(Buffer.concat([framed(new Uint8Array(12)), framed(new Uint8Array(12))]))
  expect([state.closed, queries.length]).toEqual([1, 1])
})

test("no more wait than may, and nothing is written to one that is gone", () => {
  const waiting: ((answer: Uint8Array) => void)[] = []
  const written: Uint8Array[] = []
  let closed = false
  const close = () => {
    closed = true
  }
  const connection = { address: "", write: (bytes: Uint8Array) => void written.push(bytes), close }
  const tcp = new TcpSession(connection, timers, (_, reply) => waiting.push(reply))
  for (let n = 0; n < 64; n++) tcp.data(framed(new Uint8Array(12)))
  expect([waiting.length, closed]).toEqual([64, false])
  waiting[0]?.(new Uint8Array(12))
  waiting[0]?.(new Uint8Array(12))
  expect(written).toHaveLength(1)
  tcp.data(framed(new Uint8Array(12)))
  tcp.data(framed(new Uint8Array(12)))
  expect([waiting.length, closed]).toEqual([65, true])
  tcp.end()
  waiting[1]?.(new Uint8Array(12))
  expect(written).toHaveLength(1)
})

test("a message must come whole in its time, however often a byte of it comes", async () => {
  const query = framed(new Uint8Array(12))
  const { tcp, queries, state } = session((one) => one)
  for (let n = 0; n < 3; n++) {
    await timers.pass(MESSAGE_MS - 1)
    tcp.data(query)
  }
  expect([queries.length, state.closed]).toEqual([3, 0])
  for (const byte of query.subarray(0, -1)) {
    await timers.pass(MESSAGE_MS / 10)
    tcp.data(Uint8Array.of(byte))
  }
  expect([queries.length, state.closed]).toEqual([3, 1])
  // Nothing is left to happen of one that has gone.
  tcp.end()
  await timers.pass(2 * MESSAGE_MS)
  expect(state.closed).toBe(1)
})

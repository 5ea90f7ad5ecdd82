import { afterEach, expect, test } from "bun:test"
import { bindUdp, type UdpSocket } from "./udp.ts"
import { UdpBatch } from "./udp_batch.ts"

const open: UdpSocket[] = []
afterEach(() => {
  for (const socket of open.splice(0)) socket.close()
})

/** A socket that keeps the first byte and the length of what it hears. */
async function listener(hostname: string) {
  const heard: [number, number][] = []
  const socket = await bindUdp({ hostname, port: 0 }, (bytes) => {
    heard.push([bytes[0] ?? 0, bytes.length])
  })
  open.push(socket)
  return { heard, port: socket.port }
}

async function sender(hostname: string): Promise<UdpSocket> {
  const socket = await bindUdp({ hostname, port: 0 }, () => undefined)
  open.push(socket)
  return socket
}

/** Waits until so many were heard, at most a second. */
async function all(heard: readonly unknown[], count: number): Promise<void> {
  for (let turn = 0; turn < 200 && heard.length < count; turn++) {
    await new Promise((resolve) => setTimeout(resolve, 5))
  }
}

const numbered = (count: number) => Array.from({ length: count }, (_, at) => at)

test.each(["127.0.0.1", "::1"])("what one turn sends over %s arrives, in order", async (host) => {
  const { heard, port } = await listener(host)
  const { send } = await sender(host)
  const memory = new Uint8Array(8)
  for (const number of numbered(50)) {
    memory[0] = number
    send(memory, port, host)
  }
  await all(heard, 50)
  expect(heard).toEqual(numbered(50).map((number) => [number, 8]))
})

test("what cannot be sent costs no other its place", async () => {
  const { heard, port } = await listener("127.0.0.1")
  const { send } = await sender("127.0.0.1")
  send(Uint8Array.of(200), 0, "127.0.0.1")
  for (const number of numbered(40)) {
    send(Uint8Array.of(number), port, "127.0.0.1")
    if (number % 3 === 0) send(Uint8Array.of(200), 0, "127.0.0.1")
  }
  await all(heard, 40)
  expect(heard.map(([first]) => first)).toEqual(numbered(40))
})

test("a port where nobody listens costs no other its answer", async () => {
  const { heard, port } = await listener("127.0.0.1")
  const gone = await bindUdp({ hostname: "127.0.0.1", port: 0 }, () => undefined)
  gone.close()
  const { send } = await sender("127.0.0.1")
  for (const number of numbered(10)) {
    send(Uint8Array.of(number), gone.port, "127.0.0.1")
    send(Uint8Array.of(number), port, "127.0.0.1")
    await new Promise((resolve) => setTimeout(resolve, 1))
  }
  await all(heard, 10)
  expect(heard.map(([first]) => first)).toEqual(numbered(10))
})

test("one that is longer than an Ethernet packet arrives", async () => {
  const { heard, port } = await listener("127.0.0.1")
  const { send } = await sender("127.0.0.1")
  send(new Uint8Array(9000).fill(7), port, "127.0.0.1")
  await all(heard, 1)
  expect(heard).toEqual([[7, 9000]])
})

test("a socket of both families answers IPv4 too", async () => {
  const server = await bindUdp({ hostname: "::", port: 0 }, (bytes, port, address, send) => {
    send(bytes, port, address)
  })
  open.push(server)
  const answered = Promise.withResolvers<number>()
  const client = await bindUdp({ hostname: "127.0.0.1", port: 0 }, (bytes) => {
    answered.resolve(bytes[0] ?? 0)
  })
  open.push(client)
  client.send(Uint8Array.of(5), server.port, "127.0.0.1")
  expect(await answered.promise).toBe(5)
})

test("closing sends what was added, and nothing after it", async () => {
  const { heard, port } = await listener("127.0.0.1")
  const socket = await bindUdp({ hostname: "127.0.0.1", port: 0 }, () => undefined)
  socket.send(Uint8Array.of(1), port, "127.0.0.1")
  socket.close()
  socket.send(Uint8Array.of(2), port, "127.0.0.1")
  await all(heard, 1)
  await new Promise((resolve) => setTimeout(resolve, 20))
  expect(heard).toEqual([[1, 1]])
})

test("what the kernel has no room for is dropped, and kept nowhere", () => {
  const offered: number[] = []
  const batch = new UdpBatch((datagrams) => {
    offered.push(datagrams.length / 3)
    return offered.length === 1 ? 2 : 0
  })
  for (const number of numbered(5)) batch.add(Uint8Array.of(number), 1, "127.0.0.1")
  batch.flush()
  batch.flush()
  expect(offered).toEqual([5, 3])
})

test("only one that fails twice is left out", () => {
  const sent: unknown[] = []
  let failures = 0
  const batch = new UdpBatch((datagrams) => {
    const at = datagrams.indexOf(2)
    if (failures++ === 0 || at === 1) throw new Error("cannot be sent")
    const good = datagrams.slice(0, at < 0 ? datagrams.length : at - 1)
    sent.push(...good.filter((part) => typeof part === "number"))
    return good.length / 3
  })
  for (const port of [1, 2, 3]) batch.add(Uint8Array.of(0), port, "127.0.0.1")
  batch.flush()
  expect([sent, failures]).toEqual([[1, 3], 5])
})

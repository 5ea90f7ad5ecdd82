import { expect, test } from "bun:test"
import { bindUdp, type UdpSocket } from "./udp.ts"
import { sheddingOf, sheddingProgram } from "./udp_shedding.ts"

/** Runs a program of classic BPF: what it returns for an IP packet. */
function run(program: ReturnType<typeof sheddingProgram>, packet: Uint8Array, random: number) {
  const view = new DataView(packet.buffer)
  let a = 0
  for (let at = 0; at < program.length; at++) {
    const [code = 0, jt = 0, jf = 0, k = 0] = program[at] ?? []
    if (code === 0x30) a = view.getUint8(k - 0xfff0_0000)
    else if (code === 0x20) a = k === 0xffff_f038 ? random : view.getUint32(k - 0xfff0_0000)
    else if (code === 0x54) a &= k
    else if (code === 0x15) at += a === k ? jt : jf
    else if (code === 0x35) at += a >= k ? jt : jf
    else if (code === 0x06) return k
    else throw new Error(`instruction ${code}`)
  }
  throw new Error("the program runs past its end")
}

function packet4(...source: number[]): Uint8Array {
  return Uint8Array.from([0x45, ...Array(11).fill(0), ...source, ...Array(30).fill(0)])
}

function packet6(...source: number[]): Uint8Array {
  return Uint8Array.from([0x60, ...Array(7).fill(0), ...source, ...Array(30).fill(0)])
}

test("the filter drops the share that it is to drop, of whom it is to, and nothing else", () => {
  const v6 = [0xfd, ...Array(14).fill(0), 7]
  const program = sheddingProgram([
    { address: "10.0.0.1", keep: 0.25 },
    { address: "fd00::7", keep: 0 },
  ])
  const taken = (packet: Uint8Array, random = 2 ** 31) => run(program, packet, random) > 0
  expect(taken(packet4(10, 0, 0, 1))).toBe(false)
  expect(taken(packet4(10, 0, 0, 1), 2 ** 30 - 1)).toBe(true)
  expect(taken(packet4(10, 0, 0, 1), 2 ** 30)).toBe(false)
  expect(taken(packet4(10, 0, 0, 2))).toBe(true)
  expect(taken(packet6(...v6), 0)).toBe(false)
  for (let at = 0; at < 16; at++) {
    expect(taken(packet6(...v6.map((byte, index) => (index === at ? byte ^ 1 : byte))))).toBe(true)
  }
})

/** Loopback hands datagrams over at once; the event loop needs a few turns to read them. */
const READING_MS = 60

/** How many of so many datagrams come from an address. */
async function heard(server: UdpSocket, from: string, count: number, got: () => number) {
  const sender = await bindUdp({ hostname: from, port: 0 }, () => undefined)
  const before = got()
  for (let n = 0; n < count; n++) sender.send(Uint8Array.of(n), server.port, "127.0.0.1")
  await new Promise((resolve) => setTimeout(resolve, READING_MS))
  sender.close()
  return got() - before
}

test("the kernel drops for one socket, and says how much; then no longer", async () => {
  let got = 0
  const server = await bindUdp({ hostname: "127.0.0.1", port: 0 }, () => {
    got += 1
  })
  const shedding = sheddingOf("127.0.0.1", server.port)
  if (shedding === undefined) throw new Error("the socket was not found")
  expect(shedding.fullness()).toBeLessThan(0.5)
  const count = () => got
  expect(await heard(server, "127.0.0.8", 50, count)).toBe(50)
  const dropped = shedding.dropped()
  shedding.shed([{ address: "127.0.0.8", keep: 0 }])
  expect(await heard(server, "127.0.0.8", 50, count)).toBe(0)
  expect(await heard(server, "127.0.0.7", 50, count)).toBe(50)
  expect(shedding.dropped() - dropped).toBe(50)
  shedding.shed([])
  expect(await heard(server, "127.0.0.8", 50, count)).toBe(50)
  server.close()
})

test("no socket, no shedding", () => {
  expect(sheddingOf("127.0.0.1", 1)).toBeUndefined()
})

import { describe, expect, test } from "bun:test"
import fc from "fast-check"
import { type Endpoint, type NatDatagram, NatDetection } from "./nat_detection.ts"
import { sameEndpoint } from "./nat_message.ts"

const KEY = new Uint8Array(32).fill(9)
const A_OWN = { address: "192.168.1.2", port: 4500 }
const A_OUTSIDE = { address: "203.0.113.7", port: 61_234 }
const B = { address: "198.51.100.5", port: 4500 }
const A = 1
const B_NUMBER = 2

let counter = 0
/** Different each time, and the same in each run. */
function random(length: number): Uint8Array {
  counter++
  return Uint8Array.from({ length }, (_, index) => (counter * 31 + index * 7) & 0xff)
}

/** Two hosts; A may be behind a NAT that maps its address once it has sent something. */
class TwoHosts {
  readonly a: NatDetection
  readonly b: NatDetection
  now = 1000
  /** Where A is seen; its own address without a NAT. */
  mapping: Endpoint
  hasMapping: boolean
  keepalives = 0
  delivered = 0
  lost: () => boolean = () => false

  constructor(nat: boolean) {
    this.mapping = nat ? A_OUTSIDE : A_OWN
    this.hasMapping = !nat
    this.a = new NatDetection({ number: A, random })
    this.b = new NatDetection({ number: B_NUMBER, random })
    this.a.setPeer(B_NUMBER, { announced: B, own: A_OWN, key: KEY }, this.now)
    this.b.setPeer(A, { announced: A_OWN, own: B, key: KEY }, this.now)
  }

  run(ms: number): void {
    const end = this.now + ms
    for (; this.now <= end; this.now += 100) {
      for (const one of this.a.due(this.now)) this.fromA(one)
      for (const one of this.b.due(this.now)) this.fromB(one)
    }
  }

  fromA(datagram: NatDatagram): void {
    if (datagram.kind === "keepalive") this.keepalives++
    this.hasMapping = true
    if (datagram.kind === "keepalive" || !sameEndpoint(datagram.to, B) || this.lost()) return
    this.delivered++
    for (const one of this.b.receive(datagram.bytes, this.mapping, B, this.now).send)
      this.fromB(one)
  }

  fromB(datagram: NatDatagram): void {
    const reached = this.hasMapping && sameEndpoint(datagram.to, this.mapping)
    if (datagram.kind === "keepalive" || !reached || this.lost()) return
    this.delivered++
    for (const one of this.a.receive(datagram.bytes, B, A_OWN, this.now).send) this.fromA(one)
  }
}

const outcome = (encapsulate: boolean, { address, port }: Endpoint) => ({
  encapsulate,
  peerAddress: address,
  peerPort: port,
})

describe("two hosts", () => {
  test("without a NAT send ESP as it is, to the addresses that they announce", () => {
    const hosts = new TwoHosts(false)
    hosts.run(5000)
    expect(hosts.a.outcome(B_NUMBER)).toEqual(outcome(false, B))
    expect(hosts.b.outcome(A)).toEqual(outcome(false, A_OWN))
    expect(hosts.a.outside(B_NUMBER)).toEqual(A_OWN)
    expect(hosts.keepalives).toBe(0)
  })

  test("with one behind a NAT encapsulate, and the other learns where that one is", () => {
    const hosts = new TwoHosts(true)
    expect(hosts.b.outcome(A)).toEqual(outcome(false, A_OWN))
    hosts.run(5000)
    expect(hosts.a.outcome(B_NUMBER)).toEqual(outcome(true, B))
    expect(hosts.b.outcome(A)).toEqual(outcome(true, A_OUTSIDE))
    expect(hosts.a.outside(B_NUMBER)).toEqual(A_OUTSIDE)
  })

  test("follow a NAT that forgets its mapping, or that comes between them", () => {
    const hosts = new TwoHosts(true)
    hosts.run(5000)
    hosts.mapping = { address: "203.0.113.7", port: 7777 }
    hosts.run(70_000)
    expect(hosts.b.outcome(A)).toEqual(outcome(true, hosts.mapping))
    const later = new TwoHosts(false)
    later.run(5000)
    later.mapping = A_OUTSIDE
    later.run(70_000)
    expect(later.a.outcome(B_NUMBER)?.encapsulate).toBe(true)
    expect(later.b.outcome(A)).toEqual(outcome(true, A_OUTSIDE))
  })

  test("follow at once where the kernel says that packets come from, and ask whether it is so", () => {
    const hosts = new TwoHosts(true)
    expect(hosts.b.knows(A)).toBe(false)
    hosts.run(5000)
    expect([hosts.a.knows(B_NUMBER), hosts.b.knows(A), hosts.b.knows(9)]).toEqual([
      true,
      true,
      false,
    ])
    hosts.mapping = { address: "203.0.113.7", port: 7777 }
    expect(hosts.b.moved(A, hosts.mapping, hosts.now)).toBe(true)
    expect(hosts.b.outcome(A)).toEqual(outcome(true, hosts.mapping))
    expect(hosts.b.due(hosts.now)).toMatchObject([{ kind: "message", to: hosts.mapping }])
    expect(hosts.b.moved(A, hosts.mapping, hosts.now)).toBe(false)
    expect(hosts.b.moved(9, hosts.mapping, hosts.now)).toBe(false)
    // Packets of A's that another sent on from elsewhere: A is heard of again, and is where it was.
    expect(hosts.b.moved(A, { address: "192.0.2.66", port: 666 }, hosts.now)).toBe(true)
    hosts.run(70_000)
    expect(hosts.b.outcome(A)).toEqual(outcome(true, hosts.mapping))
  })

  test("agree, whatever is lost", () => {
    fc.assert(
      fc.property(fc.boolean(), fc.infiniteStream(fc.nat({ max: 2 })), (nat, losses) => {
        const hosts = new TwoHosts(nat)
        hosts.lost = () => losses.next().value === 0
        hosts.run(60_000)
        hosts.lost = () => false
        hosts.run(130_000)
        expect(hosts.a.outcome(B_NUMBER)).toEqual(outcome(nat, B))
        expect(hosts.b.outcome(A)).toEqual(outcome(nat, hosts.mapping))
      }),
      { numRuns: 30 },
    )
  })

  test("of which one never answers are asked less and less, and stay as announced", () => {
    const hosts = new TwoHosts(false)
    hosts.lost = () => true
    const asked: number[] = []
    for (let now = 0; now <= 400_000; now += 100) {
      if (hosts.a.due(now).length > 0) asked.push(now)
    }
    expect(asked.slice(0, 6)).toEqual([1000, 1500, 2500, 4500, 8500, 16_500])
    expect(asked.length).toBeLessThan(15)
    expect(hosts.a.outcome(B_NUMBER)).toEqual(outcome(false, B))
    expect(hosts.a.outside(B_NUMBER)).toBeUndefined()
  })
})

describe("keepalives", () => {
  test("go each 20 s from the host behind the NAT alone", () => {
    const hosts = new TwoHosts(true)
    hosts.run(5000)
    hosts.keepalives = 0
    hosts.run(100_000)
    expect(hosts.keepalives).toBe(5)
  })
})

describe("strangers, liars and listeners", () => {
  const EVIL = { address: "192.0.2.66", port: 666 }

  /** A request of A as it was on the wire. */
  function request(hosts: TwoHosts): Uint8Array {
    const [first] = hosts.a.due(hosts.now)
    if (first?.kind !== "message") throw new Error("no request")
    return first.bytes
  }

  test("a replayed request gets an answer of its own length at the most, and moves nobody", () => {
    const hosts = new TwoHosts(false)
    const bytes = request(hosts)
    for (let copy = 0; copy < 3; copy++) {
      const { send, changed } = hosts.b.receive(bytes, EVIL, B, hosts.now)
      expect(changed).toBeUndefined()
      expect(send.length).toBe(1)
      const [answer] = send
      expect(answer?.kind === "message" ? answer.bytes.length : 0).toBe(bytes.length)
    }
    expect(hosts.b.outcome(A)).toEqual(outcome(false, A_OWN))
  })

  test("a confirmation counts from where its request came, and for a minute at the most", () => {
    const hosts = new TwoHosts(true)
    const { send } = hosts.b.receive(request(hosts), A_OUTSIDE, B, hosts.now)
    const [answer] = send
    if (answer?.kind !== "message") throw new Error("no answer")
    const [confirm] = hosts.a.receive(answer.bytes, B, A_OWN, hosts.now).send
    if (confirm?.kind !== "message") throw new Error("no confirmation")
    expect(hosts.b.receive(confirm.bytes, EVIL, B, hosts.now).changed).toBeUndefined()
    expect(hosts.b.receive(confirm.bytes, A_OUTSIDE, B, hosts.now + 60_000).changed).toBeUndefined()
    expect(hosts.b.outcome(A)?.peerAddress).toBe(A_OWN.address)
    expect(hosts.b.receive(confirm.bytes, A_OUTSIDE, B, hosts.now).changed).toBe(A)
    // Again: it says nothing new.
    expect(hosts.b.receive(confirm.bytes, A_OUTSIDE, B, hosts.now).changed).toBeUndefined()
  })

  test("an answer counts once, and in time", () => {
    const hosts = new TwoHosts(true)
    const { send } = hosts.b.receive(request(hosts), A_OUTSIDE, B, hosts.now)
    const [answer] = send
    if (answer?.kind !== "message") throw new Error("no answer")
    expect(hosts.a.receive(answer.bytes, B, A_OWN, hosts.now + 10_001).send).toEqual([])
    expect(hosts.a.receive(answer.bytes, B, A_OWN, hosts.now).changed).toBe(B_NUMBER)
    expect(hosts.a.receive(answer.bytes, EVIL, A_OWN, hosts.now).send).toEqual([])
  })

  test("messages of others, to others, or thrown back are ignored", () => {
    const hosts = new TwoHosts(false)
    const bytes = request(hosts)
    const third = new NatDetection({ number: 3, random })
    expect(third.receive(bytes, A_OWN, B, 0).send).toEqual([])
    third.setPeer(A, { announced: A_OWN, own: B, key: KEY }, 0)
    expect(third.receive(bytes, A_OWN, B, 0).send).toEqual([])
    expect(hosts.a.receive(bytes, B, A_OWN, hosts.now).send).toEqual([])
    hosts.b.removePeer(A)
    expect(hosts.b.receive(bytes, A_OWN, B, hosts.now).send).toEqual([])
    expect(hosts.b.outcome(A)).toBeUndefined()
  })

  test("no bytes harm", () => {
    const hosts = new TwoHosts(false)
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 200 }), (bytes) => {
        expect(hosts.b.receive(bytes, EVIL, B, hosts.now)).toEqual({ send: [], changed: undefined })
      }),
    )
  })
})

describe("many peers", () => {
  test("are asked a few at a time, and each is", () => {
    const many = new NatDetection({ number: 1, random })
    for (let number = 2; number < 1002; number++) {
      const announced = { address: `10.0.${number >> 8}.${number & 0xff}`, port: 4500 }
      many.setPeer(number, { announced, own: A_OWN, key: KEY }, 0)
    }
    const asked = new Set<string>()
    for (let now = 0; asked.size < 1000; now = Math.max(now, many.nextMs())) {
      const send = many.due(now)
      expect(send.length).toBeLessThanOrEqual(32)
      for (const { to } of send) asked.add(to.address)
      expect(now).toBeLessThan(10_000)
      expect(many.nextMs()).toBeGreaterThanOrEqual(now + 100)
    }
  })

  test("that move are forgotten, those that only have a new key are not", () => {
    const hosts = new TwoHosts(true)
    hosts.run(5000)
    const peer = { announced: A_OWN, own: B, key: KEY.with(0, 1) }
    hosts.b.setPeer(A, peer, hosts.now)
    expect(hosts.b.outcome(A)).toEqual(outcome(true, A_OUTSIDE))
    const moved = { address: "192.168.9.9", port: 4500 }
    hosts.b.setPeer(A, { ...peer, announced: moved }, hosts.now)
    expect(hosts.b.outcome(A)).toEqual(outcome(false, moved))
  })
})

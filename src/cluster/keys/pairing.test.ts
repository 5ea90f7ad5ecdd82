import { expect, test } from "bun:test"
import { publicValueOf } from "./key_agreement.ts"
import { OwnGenerations } from "./own_generations.ts"
import { Pairing } from "./pairing.ts"
import { RingPeer } from "./ring_peer.ts"

const NETWORK = { number: 0, cipher: "aes256gcm16" } as const

function fixture() {
  let seed = 1
  const random = (bytes: number) => new Uint8Array(bytes).fill(seed++)
  const own = new OwnGenerations({ random, reserve: () => undefined }, 0, [])
  const spent = { times: 0 }
  const ppk = new Uint8Array(32).fill(9)
  const onSpent = () => spent.times++
  const pairing = new Pairing({ hostId: "a", number: 1, ppk, own, onSpent })
  const peer = new RingPeer("b", { number: 2, networks: [NETWORK] })
  const announce = (
    generation: number,
    publicValue = publicValueOf(new Uint8Array(32).fill(99)),
  ) => {
    const nonce = new Uint8Array(32).fill(generation)
    peer.take({ era: 0, generations: [{ generation, publicValue, nonce }] }, generation, 0)
  }
  const pairs = () => peer.pairs.map((pair) => `${pair.ownGeneration}-${pair.peerGeneration}`)
  return { own, pairing, peer, announce, pairs, spent }
}

test("the newest of both are paired, once", () => {
  const { own, pairing, peer, announce, pairs } = fixture()
  pairing.pair(peer)
  expect(pairs()).toEqual([])
  announce(1)
  pairing.pair(peer)
  pairing.pair(peer)
  expect(pairs()).toEqual(["1-1"])
  own.rotate()
  pairing.pair(peer)
  announce(2)
  pairing.pair(peer)
  expect(pairs()).toEqual(["1-1", "2-1", "2-2"])
  expect(peer.saPairs(0)).toHaveLength(3)
})

test("keys that a peer had and that went are not made again: a new generation is wanted", () => {
  const { own, pairing, peer, announce, pairs, spent } = fixture()
  announce(1)
  own.newest.used.add("b")
  pairing.pair(peer)
  expect([pairs(), spent.times]).toEqual([[], 1])
  own.rotate()
  pairing.pair(peer)
  expect([pairs(), spent.times]).toEqual([["2-1"], 1])
})

test("a network that comes back gets no keys of the newest pair: a new generation is wanted", () => {
  const { own, pairing, peer, announce, spent } = fixture()
  announce(1)
  pairing.pair(peer)
  peer.settings = { number: 2, networks: [] }
  pairing.setNetworks(peer)
  expect(spent.times).toBe(0)
  peer.settings = { number: 2, networks: [NETWORK] }
  pairing.setNetworks(peer)
  expect(spent.times).toBe(1)
  own.rotate()
  pairing.setNetworks(peer)
  expect(spent.times).toBe(1)
})

test("a public value that gives no secret is refused once", () => {
  const { pairing, peer, announce, pairs } = fixture()
  announce(1, new Uint8Array(32))
  expect(() => pairing.pair(peer)).toThrow("public-value")
  pairing.pair(peer)
  announce(2)
  pairing.pair(peer)
  expect(pairs()).toEqual(["1-2"])
})

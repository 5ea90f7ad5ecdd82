/** Key rings of two hosts, and what they say to each other, for tests. */
import { expect } from "bun:test"
import type { Acknowledgement } from "../../src/cluster/keys/acknowledgement.ts"
import type { Announcement } from "../../src/cluster/keys/announcement.ts"
import { publicValueOf } from "../../src/cluster/keys/key_agreement.ts"
import { KeyRing, type KeyRingOptions } from "../../src/cluster/keys/key_ring.ts"
import type { RingPlan } from "../../src/cluster/keys/ring_plan.ts"
import { decodeSpi } from "./decode_spi.ts"

export const NETWORK = { number: 0, cipher: "aes256gcm16" } as const
export const PEER = { number: 2, networks: [NETWORK] }
export const ppk = new Uint8Array(32).fill(9)

/** A ring of host `a` with host `b` as its peer, and a clock that is set by hand. */
export function ringOf(options: Partial<KeyRingOptions> = {}) {
  const clock = { now: 0 }
  const reserved: number[] = []
  let seed = 1
  const ring = new KeyRing("a", 1, {
    ppk,
    clock: () => clock.now,
    random: (bytes) => new Uint8Array(bytes).fill(seed++),
    reserve: (generation) => reserved.push(generation),
    graceMs: 10,
    patienceMs: 1000,
    ...options,
  })
  ring.putPeer("b", PEER)
  return { ring, clock, reserved }
}

/** Host `b`'s announcement. */
export function announcement(generations: readonly number[], era = 0, salt = 100): Announcement {
  return {
    era,
    generations: generations.map((generation) => ({
      generation,
      publicValue: publicValueOf(new Uint8Array(32).fill(generation + salt)),
      nonce: new Uint8Array(32).fill(generation),
    })),
  }
}

export function ack(revision: number, generation: number, more: Partial<Acknowledgement> = {}) {
  return { era: 0, revision, generation, refused: [], ...more }
}

/** The own and the peer's generation of each association, newest first; the one sent on in stars. */
export function pairs(ring: KeyRing, network = 0): string[] {
  const networks = ring.peer("b")?.networks ?? []
  const found = networks.find(({ number }) => number === network)
  return (found?.saPairs ?? []).map(({ inbound, send }) => {
    const parts = decodeSpi(inbound.spi)
    const name = `${parts?.receiverGeneration}-${parts?.senderGeneration}`
    return send ? `*${name}*` : name
  })
}

export const generationsOf = (plan: RingPlan) =>
  plan.publish?.generations.map(({ generation }) => generation)

/** Writes what the plan says at a revision, and hears it. */
export function write(ring: KeyRing, plan: RingPlan, revision: number): void {
  if (plan.publish !== undefined) ring.published(plan.publish, revision)
  if (plan.acknowledge !== undefined) ring.acknowledged(plan.acknowledge, revision)
  ring.heard(revision)
}

/** A ring that talks with `b`: both at generation 1, written at 2 and 1, acknowledged at 3. */
export function talking(options: Partial<KeyRingOptions> = {}) {
  const all = ringOf(options)
  const { ring } = all
  ring.announced("b", announcement([1]), 1)
  ring.heard(1)
  write(ring, ring.plan(), 2)
  ring.acked("b", ack(2, 1), 3)
  ring.heard(3)
  write(ring, ring.plan(), 4)
  expect(pairs(ring)).toEqual(["*1-1*"])
  return all
}

import { expect, test } from "bun:test"
import { randomBytes } from "node:crypto"
import { open } from "../../../cluster/records/envelope.ts"
import { HostIdentity } from "../../../cluster/records/identity.ts"
import { Journal } from "../../state/state_database.ts"
import { Sealer } from "../signer.ts"
import { ClusterMemory } from "./cluster_state.ts"

function journalOf(): Journal {
  return Journal.open(":memory:", { bootId: "b" })
}

test("what is put is there for the next one, and for no other cluster", () => {
  const journal = journalOf()
  const memory = new ClusterMemory(journal, "edge")
  expect([memory.number, memory.generation, memory.sequence]).toEqual([undefined, 0, 0])
  expect([memory.blocks("n"), memory.overlay("n"), memory.announced]).toEqual([[], [], undefined])
  memory.number = 7
  memory.generation = 3
  memory.putNetworkNumber("n", 2)
  memory.putBlocks("n", ["10.42.0.0/24"])
  memory.putOverlay("n", ["10.42.0.254"])
  memory.announced = { bootId: "b", body: { x: 1 } }
  const again = new ClusterMemory(journal, "edge")
  expect([again.number, again.generation, again.networkNumber("n")]).toEqual([7, 3, 2])
  expect([again.blocks("n"), again.overlay("n")]).toEqual([["10.42.0.0/24"], ["10.42.0.254"]])
  expect(again.announced).toEqual({ bootId: "b", body: { x: 1 } })
  expect(new ClusterMemory(journal, "other").number).toBeUndefined()
  expect(again.blocks("other")).toEqual([])
})

test("a damaged value is told, with what to do", () => {
  const journal = journalOf()
  journal.putMeta("cluster/edge/number", "{")
  expect(() => new ClusterMemory(journal, "edge").number).toThrow("what this host remembers")
})

test("a sequence never comes twice, whatever happened in between", () => {
  const memory = new ClusterMemory(journalOf(), "edge")
  const identity = HostIdentity.create((length) => Uint8Array.from(randomBytes(length)))
  const sequences: number[] = []
  for (let life = 0; life < 3; life++) {
    const sealer = new Sealer(memory, "h1", { identity, psk: undefined })
    for (let record = 0; record < 1500; record += 1) {
      const text = sealer.seal("host", "/k", { record })
      if (record % 100 > 1) continue
      const options = { kind: "host", key: "/k", hostId: "h1", psk: undefined }
      sequences.push(open(text, { ...options, publicKey: identity.publicKey }).sequence)
    }
    // Killed: nothing is said to the memory.
  }
  expect(sequences.toSorted((a, b) => a - b)).toEqual(sequences)
  expect(new Set(sequences).size).toBe(sequences.length)
})

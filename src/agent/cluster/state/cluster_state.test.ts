import { expect, test } from "bun:test"
import { randomBytes } from "node:crypto"
import { verify } from "../../../cluster/records/envelope.ts"
import { HostIdentity } from "../../../cluster/records/identity.ts"
import { StateDatabase } from "../../state/state_database.ts"
import { Signer } from "../signer.ts"
import { ClusterState } from "./cluster_state.ts"

function journalOf(): StateDatabase {
  return StateDatabase.open(":memory:", { bootId: "b" })
}

test("what is put is there for the next one, and for no other cluster", () => {
  const stateDatabase = journalOf()
  const memory = new ClusterState(stateDatabase, "edge")
  expect([memory.number, memory.generation, memory.sequence]).toEqual([undefined, 0, 0])
  expect([memory.blocks("n"), memory.overlay("n"), memory.announced]).toEqual([[], [], undefined])
  memory.number = 7
  memory.generation = 3
  memory.putNetworkNumber("n", 2)
  memory.putBlocks("n", ["10.42.0.0/24"])
  memory.putOverlay("n", ["10.42.0.254"])
  memory.announced = { bootId: "b", body: { x: 1 } }
  const again = new ClusterState(stateDatabase, "edge")
  expect([again.number, again.generation, again.networkNumber("n")]).toEqual([7, 3, 2])
  expect([again.blocks("n"), again.overlay("n")]).toEqual([["10.42.0.0/24"], ["10.42.0.254"]])
  expect(again.announced).toEqual({ bootId: "b", body: { x: 1 } })
  expect(new ClusterState(stateDatabase, "other").number).toBeUndefined()
  expect(again.blocks("other")).toEqual([])
})

test("a damaged value is told, with what to do", () => {
  const stateDatabase = journalOf()
  stateDatabase.putMeta("cluster/edge/number", "{")
  expect(() => new ClusterState(stateDatabase, "edge").number).toThrow("what this host remembers")
})

test("a sequence never comes twice, whatever happened in between", () => {
  const memory = new ClusterState(journalOf(), "edge")
  const identity = HostIdentity.create((length) => Uint8Array.from(randomBytes(length)))
  const sequences: number[] = []
  for (let life = 0; life < 3; life++) {
    const signer = new Signer(memory, "h1", { identity, psk: undefined })
    for (let record = 0; record < 1500; record += 1) {
      const text = signer.sign("host", "/k", { record })
      if (record % 100 > 1) continue
      const options = { kind: "host", key: "/k", hostId: "h1", psk: undefined }
      sequences.push(verify(text, { ...options, publicKey: identity.publicKey }).sequence)
    }
    // Killed: nothing is said to the memory.
  }
  expect(sequences.toSorted((a, b) => a - b)).toEqual(sequences)
  expect(new Set(sequences).size).toBe(sequences.length)
})

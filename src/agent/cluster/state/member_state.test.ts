import { expect, test } from "bun:test"
import { KnownHost } from "../../../cluster/directory/known_host.ts"
import { StateDatabase } from "../../state/state_database.ts"
import { ClusterState } from "./cluster_state.ts"
import { MemberState } from "./member_state.ts"

function host(id: string, member: boolean, absentSince?: number): KnownHost {
  return Object.assign(new KnownHost(id, 1, 0), { member, absentSince })
}

test("who was on the mesh, and who was silent, is known to the next process of this boot alone", () => {
  const memory = new ClusterState(StateDatabase.open(":memory:", { bootId: "b" }), "edge")
  const first = new MemberState(memory, "boot")
  expect(first.former("there")).toBeUndefined()
  first.save([host("there", true), host("silent", true, 7.5), host("gone", false, 1)])
  const next = new MemberState(memory, "boot")
  expect(["there", "silent", "gone", "new"].map((id) => next.former(id))).toEqual([
    { absentSince: undefined },
    { absentSince: 7.5 },
    undefined,
    undefined,
  ])
  // What was, stays so whatever is written meanwhile.
  next.save([])
  expect(next.former("there")).toBeDefined()
  expect(new MemberState(memory, "boot").former("there")).toBeUndefined()
  first.save([host("there", true)])
  expect(new MemberState(memory, "another boot").former("there")).toBeUndefined()
})

test("nothing is written while nothing changes", () => {
  const stateDatabase = StateDatabase.open(":memory:", { bootId: "b" })
  const memory = new ClusterState(stateDatabase, "edge")
  const members = new MemberState(memory, "boot")
  members.save([host("there", true)])
  memory.members = { bootId: "boot", hosts: {} }
  members.save([host("there", true)])
  expect(memory.members).toEqual({ bootId: "boot", hosts: {} })
  members.save([host("there", true, 3)])
  expect(memory.members?.hosts).toEqual({ there: 3 })
})

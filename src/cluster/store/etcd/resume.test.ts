import { expect, test } from "bun:test"
import { FakeWorld, header, kv, refusal } from "../../../../test/cluster/fake_world.ts"
import { EtcdClient } from "./client.ts"
import { resumeRevision, type WatchPosition } from "./resume.ts"

const position: WatchPosition = {
  header: { clusterId: "7", revision: 12, term: 2 },
  last: { key: "/a/x", revision: 10, deleted: false },
  count: 3,
  compacted: 0,
}
const deleted: WatchPosition = {
  ...position,
  last: { key: "/a/x", revision: 10, deleted: true },
}

type Kvs = readonly object[]
interface Etcd {
  readonly revision?: number
  /** The key as it is now. */
  readonly now?: Kvs
  /** What it was at a revision; undefined: compacted. */
  readonly at?: (revision: number) => Kvs | undefined
  /** Entries that are newer than the position. */
  readonly newer?: Kvs
  readonly count?: number
}

function resume(at: WatchPosition, etcd: Etcd) {
  const revision = etcd.revision ?? 20
  const world = new FakeWorld(({ path, body }) => {
    if (path === "/v3/kv/range") {
      const newest = body.min_mod_revision !== undefined
      const kvs = newest ? etcd.newer : etcd.now
      return Response.json({ header: header(revision), kvs, count: String(etcd.count ?? 0) })
    }
    const success = body.success as { request_range: { revision: string } }[]
    const found = success.map(({ request_range: range }) => etcd.at?.(Number(range.revision)))
    if (found.some((kvs) => kvs === undefined)) {
      return refusal(400, 11, "etcdserver: mvcc: required revision has been compacted")
    }
    const responses = found.map((kvs) => ({ response_range: { kvs } }))
    return Response.json({ header: header(revision), succeeded: true, responses })
  })
  return resumeRevision(new EtcdClient(["http://a:1"], world), "/a/", at)
}

const x = (revision: number) => [kv("/a/x", "1", revision)]

test("behind the last change, when it still stands", async () => {
  expect(await resume(position, { now: x(10) })).toBe(11)
})

test("or when the history knows it, though it was written over since", async () => {
  expect(await resume(position, { now: x(15), at: () => x(10) })).toBe(11)
  expect(await resume(position, { now: [], at: () => x(10) })).toBe(11)
})

test("a history that has another change there is another history", async () => {
  expect(await resume(position, { now: x(15), at: () => x(9) })).toBe("restored")
  expect(await resume(position, { now: x(15), at: () => [] })).toBe("restored")
  // Compacted: it may be the same one.
  expect(await resume(position, { now: x(15), at: () => undefined })).toBeUndefined()
})

test("a deletion is known by what was there before it", async () => {
  expect(await resume(deleted, { now: [], at: (revision) => (revision < 10 ? x(4) : []) })).toBe(11)
  expect(await resume(deleted, { now: [], at: () => [] })).toBe("restored")
  expect(await resume(deleted, { now: [], at: () => x(4) })).toBe("restored")
  expect(await resume(deleted, { now: [], at: () => undefined })).toBeUndefined()
})

test("revisions that go back are another history, whatever stands", async () => {
  expect(await resume(position, { now: x(10), revision: 11 })).toBe("restored")
})

test("with nothing told there is nothing to go on from", async () => {
  expect(await resume({ ...position, last: undefined }, { now: [] })).toBeUndefined()
})

test("where the changes were compacted, or are too many, it goes on now if nothing changed", async () => {
  const gone = { ...position, compacted: 15 }
  expect(await resume(gone, { now: x(10), count: 3 })).toBe(21)
  expect(await resume(gone, { now: x(10), count: 2 })).toBeUndefined()
  expect(await resume(gone, { now: x(10), newer: x(12), count: 3 })).toBeUndefined()
  const far = { revision: 100_000, count: 3 }
  expect(await resume(position, { now: x(10), ...far })).toBe(100_001)
  expect(await resume({ ...position, compacted: 11 }, { now: x(10) })).toBe(11)
})

/** Contenders for the same keys: each is won once, also while a member is lost. */
import { afterAll, beforeAll, expect, test } from "bun:test"
import { BlockLeases, type BlockSource } from "../../src/cluster/blocks/block_lease.ts"
import { Keyspace } from "../../src/cluster/records/keyspace.ts"
import type { EtcdStore } from "../../src/cluster/store/etcd/etcd_store.ts"
import { LariatError } from "../../src/errors.ts"
import { storedBlocks } from "../cluster_model/stored_blocks.ts"
import { TestHost } from "../cluster_model/test_host.ts"
import { Scene } from "./scene.ts"

const CONTENDERS = 20
const BLOCKS = 400
const FAIR = BLOCKS / CONTENDERS
let scene: Scene

beforeAll(async () => {
  scene = await Scene.begin({ members: 3 })
})
afterAll(() => scene?.end())

/** Claims blocks until it has its share; what it believes to own. */
async function claimShare(store: EtcdStore, prefix: string, owner: string): Promise<string[]> {
  const own: string[] = []
  while (own.length < FAIR) {
    const { entries } = await retried(() => store.list(prefix))
    const taken = new Set(entries.map(({ key }) => key))
    const free = Array.from({ length: BLOCKS }, (_, n) => `${prefix}${n}`).filter(
      (key) => !taken.has(key),
    )
    // All go for the lowest ones: as much contention as there can be.
    for (const key of free.slice(0, 3)) {
      if (own.length < FAIR && (await claim(store, key, owner))) own.push(key)
    }
  }
  return own
}

async function claim(store: EtcdStore, key: string, owner: string): Promise<boolean> {
  try {
    return (await store.commit([{ key, revision: 0 }], [{ key, value: owner }])).committed
  } catch (error) {
    if (!(error instanceof LariatError) || error.code !== "store-away") throw error
    return (await retried(() => store.get(key)))?.value === owner
  }
}

async function retried<T>(work: () => Promise<T>): Promise<T> {
  for (let attempt = 0; ; attempt++) {
    try {
      return await work()
    } catch (error) {
      if (attempt === 20) throw error
    }
  }
}

async function contend(prefix: string, meanwhile: () => Promise<void>): Promise<void> {
  const owners = Array.from({ length: CONTENDERS }, (_, n) => `host${n}`)
  const work = owners.map((owner, n) => claimShare(scene.store({}, n % 3), prefix, owner))
  await meanwhile()
  const believed = await Promise.all(work)
  const { entries } = await scene.store().list(prefix)
  expect(entries).toHaveLength(BLOCKS)
  for (const [index, owner] of owners.entries()) {
    const owned = entries.filter(({ value }) => value === owner).map(({ key }) => key)
    expect([...(believed[index] ?? [])].sort()).toEqual(owned.sort())
  }
}

test("400 blocks and 20 contenders: each is won once", async () => {
  await contend("/blocks/", async () => undefined)
})

test("and while the leader is killed in the middle of it", async () => {
  await contend("/blocks2/", async () => {
    await new Promise((resolve) => setTimeout(resolve, 300))
    const leader = await scene.cluster.leader()
    await leader.kill()
    await scene.cluster.startMembers()
  })
})

/** A /16 and a half of it again, in /24. */
const SOURCE: BlockSource = {
  count: BLOCKS,
  at: (index) => ({ block: `10.${42 + (index >> 8)}.${index & 0xff}.0/24` }),
}

/** What leases a host's blocks, and what the host knows to be its own. */
function leaser(keys: Keyspace, n: number): { leases: BlockLeases; mine: Set<string> } {
  const host = new TestHost(`host${n}`, n + 1, keys)
  const mine = new Set<string>()
  const leases = new BlockLeases({
    store: scene.store({}, n % 3),
    keys,
    hostId: host.id,
    sign: (key, state, reason) => host.claimText(key, state, reason),
    isMine: (_network, block) => mine.has(block),
    holderOf: () => undefined,
    mayTakeOver: () => false,
    clock: () => performance.now(),
  })
  return { leases, mine }
}

async function contendForLeases(cluster: string, meanwhile: () => Promise<void>): Promise<void> {
  const keys = new Keyspace(cluster)
  const leasers = Array.from({ length: CONTENDERS }, (_, n) => leaser(keys, n))
  const work = leasers.map(async ({ leases, mine }) => {
    // A claim that was written though its answer was lost is found by the next one.
    while (mine.size < FAIR) mine.add(await retried(() => leases.claim("n", SOURCE)))
  })
  await meanwhile()
  await Promise.all(work)
  const all = leasers.flatMap(({ mine }) => [...mine])
  expect(all).toHaveLength(BLOCKS)
  expect(new Set(all).size).toBe(BLOCKS)
  const store = scene.store()
  for (const [n, { mine }] of leasers.entries()) {
    expect(new Set(await storedBlocks(store, keys, `host${n}`))).toEqual(mine)
  }
  const { leases } = leaser(keys, CONTENDERS)
  expect(await leases.claim("n", SOURCE).catch((error) => error)).toMatchObject({
    code: "pool-exhausted",
  })
}

test("400 block leases and 20 hosts: each is won once", async () => {
  await contendForLeases("leases", async () => undefined)
})

test("and while the leader is killed among them", async () => {
  await contendForLeases("leases2", async () => {
    await new Promise((resolve) => setTimeout(resolve, 300))
    const leader = await scene.cluster.leader()
    await leader.kill()
    await scene.cluster.startMembers()
  })
})

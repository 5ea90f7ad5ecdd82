import { describe, expect, test } from "bun:test"
import fc from "fast-check"
import { errorOf } from "../../test/cluster/ear.ts"
import { MemoryStore } from "../../test/cluster_model/memory_store.ts"
import { TestHost } from "../../test/cluster_model/test_host.ts"
import { BlockLeases, type BlockSource } from "./block_lease.ts"
import { Keyspace } from "./keyspace.ts"

const keys = new Keyspace("edge")

/** Blocks 10.42.0.0/24, 10.42.1.0/24 and so on. */
function source(count: number): BlockSource {
  return { count, at: (index) => ({ block: `10.42.${index}.0/24` }) }
}

const block = (index: number) => `10.42.${index}.0/24`

/** A host with leases, what it knows to be its own, and what it believes of others. */
class Leaser {
  readonly host: TestHost
  readonly leases: BlockLeases
  readonly mine = new Set<string>()
  readonly believed = new Map<string, string>()
  readonly gone = new Set<string>()

  /** @param former the same host before it was started again */
  constructor(store: MemoryStore, id: string, former?: Leaser) {
    this.host = former?.host ?? new TestHost(id, 1, keys)
    this.leases = new BlockLeases({
      store,
      keys,
      hostId: id,
      seal: (key, state, reason) => this.host.claimText(key, state, reason),
      isMine: (_network, one) => this.mine.has(one),
      holderOf: (_network, one) => this.believed.get(one),
      mayTakeOver: (_network, _block, hostId) => this.gone.has(hostId),
    })
  }

  async claim(from: BlockSource): Promise<string> {
    const claimed = await this.leases.claim("n", from)
    this.mine.add(claimed)
    return claimed
  }
}

describe("claiming", () => {
  test("contenders never share a block, and all get their share, in whatever order they come", async () => {
    await fc.assert(
      fc.asyncProperty(
        fc.scheduler(),
        fc.integer({ min: 2, max: 5 }),
        fc.integer({ min: 1, max: 3 }),
        async (scheduler, hosts, each) => {
          const store = new MemoryStore()
          store.turn = () => scheduler.schedule(Promise.resolve())
          const leasers = Array.from({ length: hosts }, (_, n) => new Leaser(store, `h${n}`))
          const work = leasers.map(async (leaser) => {
            for (let count = 0; count < each; count++) await leaser.claim(source(hosts * each))
          })
          await scheduler.waitFor(Promise.all(work))
          const claimed = leasers.flatMap(({ mine }) => [...mine])
          expect(claimed).toHaveLength(hosts * each)
          expect(new Set(claimed).size).toBe(hosts * each)
          store.turn = () => Promise.resolve()
          for (const { leases, mine } of leasers) {
            expect(new Set(await leases.mine("n"))).toEqual(mine)
          }
        },
      ),
      { numRuns: 100 },
    )
  })

  test("one request too many is refused, and says why", async () => {
    const store = new MemoryStore()
    const one = new Leaser(store, "h1")
    const other = new Leaser(store, "h2")
    for (let count = 0; count < 5; count++) await one.claim(source(10))
    for (let count = 0; count < 5; count++) await other.claim(source(10))
    const error = await errorOf(one.claim(source(10)))
    expect([error.code, error.message]).toEqual([
      "pool-exhausted",
      "Cannot lease a block of network n: all 10 are other hosts'",
    ])
  })

  test("hosts begin at different places, and do not list thousands of claims for one", async () => {
    const store = new MemoryStore()
    const firsts = new Set<string>()
    for (let n = 0; n < 20; n++) firsts.add(await new Leaser(store, `host-${n}`).claim(source(256)))
    expect(firsts.size).toBe(20)
    expect(store.calls).not.toContain("list")
  })

  test("a claim whose answer was lost is found again: no block is lost", async () => {
    await fc.assert(
      fc.asyncProperty(fc.array(fc.boolean(), { minLength: 1, maxLength: 6 }), async (losses) => {
        const store = new MemoryStore()
        const leaser = new Leaser(store, "h1")
        for (const lost of [...losses, false]) {
          store.loseAnswer = lost
          const claimed = leaser.claim(source(16))
          if (lost) expect((await errorOf(claimed)).code).toBe("store-away")
          else await claimed
        }
        expect(new Set(await leaser.leases.mine("n"))).toEqual(leaser.mine)
      }),
    )
  })

  test("blocks of hosts that are gone come last, and only theirs", async () => {
    const store = new MemoryStore()
    const [gone, here, late] = ["gone", "here", "late"].map((id) => new Leaser(store, id))
    if (gone === undefined || here === undefined || late === undefined) throw new Error("no host")
    const [orphan] = [await gone.claim(source(3)), await here.claim(source(3))]
    late.gone.add("gone")
    const free = await late.claim(source(3))
    expect([...gone.mine, ...here.mine]).not.toContain(free)
    expect(await late.claim(source(3))).toBe(orphan)
    // It says from whom it was taken, for the other to know when it comes back.
    const value = (await store.get(keys.block("n", orphan)))?.value
    expect(value).toEndWith('{"state":"held","from":"gone"}')
    expect((await errorOf(late.claim(source(3)))).code).toBe("pool-exhausted")
  })

  test("one free block among many is found before any that is to be taken over", async () => {
    for (let free = 0; free < 12; free++) {
      const store = new MemoryStore()
      const [gone, late] = [new Leaser(store, "gone"), new Leaser(store, "late")]
      for (let index = 0; index < 12; index++) {
        if (index !== free) await gone.leases.hold("n", block(index))
      }
      late.gone.add("gone")
      expect(await late.claim(source(12))).toBe(block(free))
    }
  })

  test("a block that somebody took out of the store is still its holder's", async () => {
    const store = new MemoryStore()
    const leaser = new Leaser(store, "h1")
    for (let index = 0; index < 4; index++) leaser.believed.set(block(index), "h2")
    expect((await errorOf(leaser.claim(source(4)))).code).toBe("pool-exhausted")
    leaser.gone.add("h2")
    expect(await leaser.claim(source(4))).toMatch(/^10\.42\./)
  })

  test("what stands there and is no claim is in nobody's way", async () => {
    const store = new MemoryStore()
    store.write([{ key: keys.block("n", block(0)), value: "garbage" }])
    expect(await new Leaser(store, "h1").claim(source(1))).toBe(block(0))
  })

  test("a block without usable address is passed over", async () => {
    const gaps: BlockSource = {
      count: 4,
      at: (index) => (index === 2 ? { block: block(2) } : undefined),
    }
    expect(await new Leaser(new MemoryStore(), "h1").claim(gaps)).toBe(block(2))
  })
})

describe("holding a certain block", () => {
  test("succeeds where it is free or its own, and names the holder where not", async () => {
    const store = new MemoryStore()
    const [one, other] = [new Leaser(store, "h1"), new Leaser(store, "h2")]
    expect(await one.leases.hold("n", block(1))).toEqual({ held: true })
    expect(await one.leases.hold("n", block(1))).toEqual({ held: true })
    expect(store.calls.filter((call) => call === "commit")).toHaveLength(1)
    expect(await other.leases.hold("n", block(1))).toEqual({ held: false, holder: "h1" })
    await one.leases.release("n", block(1))
    expect(await other.leases.hold("n", block(1))).toEqual({ held: true })
  })

  test("takes it from a host that is gone, but not when another one is believed to have it", async () => {
    const store = new MemoryStore()
    const [one, other] = [new Leaser(store, "h1"), new Leaser(store, "h2")]
    await one.leases.hold("n", block(1))
    other.gone.add("h1")
    other.believed.set(block(1), "h3")
    expect(await other.leases.hold("n", block(1))).toEqual({ held: false, holder: "h1" })
    other.believed.set(block(1), "h1")
    expect(await other.leases.hold("n", block(1))).toEqual({ held: true })
  })

  test("claims again what a store that was put back does not know", async () => {
    const store = new MemoryStore()
    const before = store.image()
    const one = new Leaser(store, "h1")
    await one.leases.hold("n", block(1))
    store.putBack(before)
    one.leases.doubt()
    expect(await one.leases.hold("n", block(1))).toEqual({ held: true })
    expect(await one.leases.mine("n")).toEqual([block(1)])
  })

  test("writes an own claim anew that is not the newest: those who saw a newer one refuse it", async () => {
    const store = new MemoryStore()
    const one = new Leaser(store, "h1")
    await one.leases.hold("n", block(1))
    const before = store.image()
    const key = keys.block("n", block(1))
    const old = await store.get(key)
    store.write([{ key, value: undefined }])
    await one.leases.hold("n", block(1))
    const sequence = async () => Number((await store.get(key))?.value.split(" ")[5])
    const newest = await sequence()
    store.write([{ key, value: old?.value }])
    expect(await one.leases.hold("n", block(1))).toEqual({ held: true })
    expect(await sequence()).toBeGreaterThan(newest)
    store.putBack(before)
    one.leases.doubt()
    await one.leases.hold("n", block(1))
    expect(await sequence()).toBeGreaterThan(newest + 1)
    // What a former process wrote last is not known.
    const [{ length }, again] = [store.calls, new Leaser(store, "h1", one)]
    await again.leases.hold("n", block(1))
    await again.leases.hold("n", block(1))
    expect(store.calls.slice(length).filter((call) => call === "commit")).toHaveLength(1)
    expect(await sequence()).toBeGreaterThan(newest + 2)
  })

  test("fails while the store is away, and gives nothing up", async () => {
    const store = new MemoryStore()
    const one = new Leaser(store, "h1")
    await one.leases.hold("n", block(1))
    store.away = true
    for (const call of [
      () => one.leases.hold("n", block(1)),
      () => one.leases.hold("n", block(2)),
      () => one.leases.release("n", block(1)),
      () => one.leases.claim("n", source(4)),
    ]) {
      expect((await errorOf(call())).code).toBe("store-away")
    }
    store.away = false
    expect(await one.leases.mine("n")).toEqual([block(1)])
  })
})

describe("two hosts with one block", () => {
  /** Both say to hold block 1: `late` got it after the store was put back to before `early` did. */
  async function conflict(early: string, late: string): Promise<[MemoryStore, Leaser, Leaser]> {
    const store = new MemoryStore()
    const before = store.image()
    const [one, other] = [new Leaser(store, early), new Leaser(store, late)]
    await one.leases.hold("n", block(1))
    store.putBack(before)
    one.leases.doubt()
    await other.leases.hold("n", block(1))
    other.leases.doubt()
    return [store, one, other]
  }

  const settle = async (one: Leaser, other: Leaser) => {
    const outcomes: boolean[] = []
    for (let round = 0; round < 3; round++) {
      for (const leaser of [one, other]) {
        const hold = await leaser.leases.hold("n", block(1))
        if (!hold.held) await leaser.leases.reclaim("n", block(1))
      }
    }
    for (const { leases } of [one, other]) outcomes.push((await leases.mine("n")).length === 1)
    return outcomes
  }

  test.each([
    ["a", "b", [true, false]],
    ["b", "a", [false, true]],
  ])("both with containers: %s before %s", async (early, late, expected) => {
    const [, one, other] = await conflict(early, late)
    expect(await settle(one, other)).toEqual(expected)
  })

  test("the one without containers gives way, and says so with its signature", async () => {
    const [store, one, other] = await conflict("b", "a")
    // The first has containers, the second has none.
    expect(await one.leases.reclaim("n", block(1))).toEqual({ held: true })
    expect(await other.leases.hold("n", block(1))).toEqual({ held: false, holder: "b" })
    await other.leases.release("n", block(1))
    expect((await store.get(keys.block("n", block(1))))?.value).toEndWith(
      '{"state":"released","to":"b"}',
    )
    // Nobody comes between.
    const third = new Leaser(store, "c")
    expect(await third.leases.hold("n", block(1))).toEqual({ held: false, holder: "b" })
    expect(
      (await errorOf(third.leases.claim("n", { ...source(1), at: () => ({ block: block(1) }) })))
        .code,
    ).toBe("pool-exhausted")
    expect(await one.leases.hold("n", block(1))).toEqual({ held: true })
    expect(await one.leases.mine("n")).toEqual([block(1)])
  })

  test("a claim that was seen standing is taken back from whoever wrote over it", async () => {
    const store = new MemoryStore()
    const [honest, rogue] = [new Leaser(store, "z"), new Leaser(store, "a")]
    await honest.leases.hold("n", block(1))
    const key = keys.block("n", block(1))
    const value = rogue.host.claimText(key, "held", { used: true, from: "z" })
    store.write([{ key, value }])
    expect(await honest.leases.hold("n", block(1))).toEqual({ held: false, holder: "a" })
    expect(await honest.leases.reclaim("n", block(1))).toEqual({ held: true })
  })

  test("what was taken over stays so when its former holder comes back", async () => {
    const store = new MemoryStore()
    const [gone, heir] = [new Leaser(store, "a"), new Leaser(store, "z")]
    await gone.leases.hold("n", block(1))
    heir.gone.add("a")
    await heir.leases.hold("n", block(1))
    gone.leases.doubt()
    expect(await gone.leases.hold("n", block(1))).toEqual({ held: false, holder: "z" })
    expect(await gone.leases.reclaim("n", block(1))).toEqual({ held: false, holder: "z" })
    // It was given up in favour of the heir, who makes that good.
    expect((await store.get(keys.block("n", block(1))))?.value).toEndWith(
      '{"state":"released","to":"z"}',
    )
    expect(await heir.leases.hold("n", block(1))).toEqual({ held: true })
    expect(await gone.leases.reclaim("n", block(1))).toEqual({ held: false, holder: "z" })
  })
})

test("releasing twice, or what is nobody's, is no harm", async () => {
  const store = new MemoryStore()
  const one = new Leaser(store, "h1")
  await one.leases.hold("n", block(1))
  await one.leases.release("n", block(1))
  const { revision } = store
  await one.leases.release("n", block(1))
  expect(store.revision).toBe(revision)
  expect(await one.leases.mine("n")).toEqual([])
  expect(await new Leaser(store, "h2").leases.hold("n", block(1))).toEqual({ held: true })
})

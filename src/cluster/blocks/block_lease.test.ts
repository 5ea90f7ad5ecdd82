import { describe, expect, test } from "bun:test"
import fc from "fast-check"
import { errorOf } from "../../../test/cluster/ear.ts"
import { MemoryStore } from "../../../test/cluster_model/memory_store.ts"
import { storedBlocks } from "../../../test/cluster_model/stored_blocks.ts"
import { TestHost } from "../../../test/cluster_model/test_host.ts"
import { Keyspace } from "../records/keyspace.ts"
import { BlockLeases, type BlockSource } from "./block_lease.ts"

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
  now = 0
  readonly #store: MemoryStore

  /** @param former the same host before it was started again */
  constructor(store: MemoryStore, id: string, former?: Leaser) {
    this.#store = store
    this.host = former?.host ?? new TestHost(id, 1, keys)
    this.leases = new BlockLeases({
      store,
      keys,
      hostId: id,
      sign: (key, state, reason) => this.host.claimText(key, state, reason),
      isMine: (_network, one) => this.mine.has(one),
      holderOf: (_network, one) => this.believed.get(one),
      mayTakeOver: (_network, _block, hostId) => this.gone.has(hostId),
      clock: () => this.now,
    })
  }

  /** The blocks that the store says are its own. */
  stored(): Promise<string[]> {
    return storedBlocks(this.#store, keys, this.host.id)
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
          for (const leaser of leasers) {
            expect(new Set(await leaser.stored())).toEqual(leaser.mine)
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
        expect(new Set(await leaser.stored())).toEqual(leaser.mine)
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
    one.leases.invalidate()
    expect(await one.leases.hold("n", block(1))).toEqual({ held: true })
    expect(await one.stored()).toEqual([block(1)])
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
    one.leases.invalidate()
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
    expect(await one.stored()).toEqual([block(1)])
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
    one.leases.invalidate()
    await other.leases.hold("n", block(1))
    for (const { mine } of [one, other]) mine.add(block(1))
    return [store, one, other]
  }

  /** Lets hosts look at their block in turn; who has it in the end. */
  const settle = async (...all: Leaser[]) => {
    for (let round = 0; round < 3; round++) {
      for (const leaser of all) {
        if (!leaser.mine.has(block(1))) continue
        const end = await leaser.leases.keep("n", block(1))
        if (!end.held) leaser.mine.delete(block(1))
      }
    }
    return all.map(({ mine }) => mine.has(block(1)))
  }

  const value = async (store: MemoryStore) => (await store.get(keys.block("n", block(1))))?.value

  test.each([
    ["a", "b", true],
    ["b", "a", true],
    ["a", "b", false],
    ["b", "a", false],
  ])("%s that comes back leaves it to %s, whose claim stands", async (early, late, first) => {
    const [store, one, other] = await conflict(early, late)
    const outcome = first ? await settle(one, other) : (await settle(other, one)).toReversed()
    expect(outcome).toEqual([false, true])
    // By its signature; nobody writes any more.
    expect(await value(store)).toEndWith(`{"state":"held","from":"${early}"}`)
    const { revision } = store
    await settle(one, other)
    expect(store.revision).toBe(revision)
  })

  test("so it is where neither is sure of its claim", async () => {
    const [, one, other] = await conflict("a", "b")
    other.leases.invalidate()
    expect(await settle(one, other)).toEqual([false, true])
  })

  test("the one that gives way says so with its signature, and nobody comes between", async () => {
    const [store, one] = await conflict("a", "b")
    expect(await one.leases.keep("n", block(1))).toEqual({ held: false, holder: "b" })
    expect(await value(store)).toEndWith('{"state":"released","to":"b"}')
    const third = new Leaser(store, "c")
    expect(await third.leases.hold("n", block(1))).toEqual({ held: false, holder: "b" })
    expect(
      (await errorOf(third.leases.claim("n", { ...source(1), at: () => ({ block: block(1) }) })))
        .code,
    ).toBe("pool-exhausted")
  })

  test("a claim that was seen standing is taken back from whoever wrote over it", async () => {
    const store = new MemoryStore()
    const [honest, rogue] = [new Leaser(store, "z"), new Leaser(store, "a")]
    await honest.leases.hold("n", block(1))
    const key = keys.block("n", block(1))
    for (const lie of [{ from: "z" }, {}]) {
      store.write([{ key, value: rogue.host.claimText(key, "held", lie) }])
      expect(await honest.leases.hold("n", block(1))).toEqual({ held: false, holder: "a" })
      expect(await honest.leases.keep("n", block(1))).toEqual({ held: true, rival: "a" })
      expect(await value(store)).toEndWith('{"state":"held"}')
      expect(await honest.leases.keep("n", block(1))).toEqual({ held: true })
    }
    // Not while that may not be; it is kept all the same.
    store.write([{ key, value: rogue.host.claimText(key, "held") }])
    const { revision } = store
    expect(await honest.leases.keep("n", block(1), () => false)).toMatchObject({ held: true })
    expect(store.revision).toBe(revision)
  })

  test("what was taken over stays so when its former holder comes back", async () => {
    const store = new MemoryStore()
    const [gone, heir] = [new Leaser(store, "a"), new Leaser(store, "z")]
    await gone.leases.hold("n", block(1))
    heir.gone.add("a")
    await heir.leases.hold("n", block(1))
    gone.leases.invalidate()
    expect(await gone.leases.hold("n", block(1))).toEqual({ held: false, holder: "z" })
    expect(await gone.leases.keep("n", block(1))).toEqual({ held: false, holder: "z" })
    // It was given up in favour of the heir, who makes that good.
    expect(await value(store)).toEndWith('{"state":"released","to":"z"}')
    expect(await heir.leases.keep("n", block(1))).toEqual({ held: true })
    expect(await gone.leases.keep("n", block(1))).toEqual({ held: false, holder: "z" })
  })

  test("a host that comes back takes over from one that has gone meanwhile", async () => {
    const [store, one, other] = await conflict("a", "b")
    one.gone.add("b")
    expect(await one.leases.keep("n", block(1))).toEqual({ held: true, rival: "b" })
    expect(await value(store)).toEndWith('{"state":"held","from":"b"}')
    other.leases.invalidate()
    expect(await other.leases.keep("n", block(1))).toEqual({ held: false, holder: "a" })
  })
})

/** What may happen to hosts that want, or have, one block. */
type Happening =
  | { readonly what: "look" | "restart" | "want" | "cut"; readonly at: number }
  /** Time goes by; but for one host that stands still. */
  | { readonly what: "pass"; readonly ms: number; readonly but: number | undefined }
  | { readonly what: "keep" | "putBack" }

test("whatever happens to honest hosts and their store, one of them has the block in the end", async () => {
  const at = fc.nat(2)
  const happening = fc.oneof<fc.Arbitrary<Happening>[]>(
    fc.record({ what: fc.constantFrom("look", "restart", "want", "cut"), at }),
    fc.record({
      what: fc.constant("pass"),
      ms: fc.constantFrom(1000, 40_000, 59_000, 130_000),
      but: fc.option(at, { nil: undefined }),
    }),
    fc.record({ what: fc.constantFrom("keep", "putBack") }),
  )
  await fc.assert(
    fc.asyncProperty(fc.array(happening, { maxLength: 30 }), async (happenings) => {
      const store = new MemoryStore()
      let image = store.image()
      const hosts = ["b", "a", "c"].map((id) => new Leaser(store, id))
      const each = (work: (host: Leaser) => void) => hosts.forEach(work)
      const look = async (host: Leaser) => {
        if (!host.mine.has(block(1))) return
        const end = await host.leases.keep("n", block(1))
        if (!end.held) host.mine.delete(block(1))
      }
      /** Each host goes over its blocks every 30 seconds, or when it is awake again. */
      const pass = async (ms: number, but: number | undefined) => {
        for (let passed = 1000; passed <= ms; passed += 1000) {
          for (const [n, host] of hosts.entries()) {
            host.now += 1000
            if (n === but && passed < ms) continue
            host.leases.tick()
            if (passed % 30_000 === 0 || (n === but && ms >= 30_000)) await look(host)
          }
        }
      }
      const happen = async (one: Happening) => {
        const n = "at" in one ? one.at : 0
        const host = hosts[n]
        if (host === undefined) return
        if (one.what === "look") await look(host)
        else if (one.what === "restart") {
          const again = new Leaser(store, host.host.id, host)
          again.now = host.now
          for (const mine of host.mine) again.mine.add(mine)
          hosts[n] = again
        } else if (one.what === "want" && !host.mine.has(block(1))) {
          if ((await host.leases.hold("n", block(1))).held) host.mine.add(block(1))
        } else if (one.what === "cut") host.leases.invalidate()
        else if (one.what === "pass") await pass(one.ms, one.but)
        else if (one.what === "keep") image = store.image()
        else if (one.what === "putBack") {
          store.putBack(image)
          each(({ leases }) => leases.invalidate())
        }
      }
      for (const one of happenings) await happen(one)
      const wanted = hosts.some(({ mine }) => mine.size > 0)
      for (let round = 0; round < 6; round++) for (const host of hosts) await look(host)
      const holders = hosts.filter(({ mine }) => mine.size > 0)
      expect(holders).toHaveLength(wanted ? 1 : 0)
      const { revision } = store
      for (const host of hosts) await look(host)
      expect(store.revision).toBe(revision)
      for (const host of holders) expect(await host.stored()).toEqual([block(1)])
    }),
    { numRuns: 2000 },
  )
})

test("releasing twice, or what is nobody's, is no harm", async () => {
  const store = new MemoryStore()
  const one = new Leaser(store, "h1")
  await one.leases.hold("n", block(1))
  await one.leases.release("n", block(1))
  const { revision } = store
  await one.leases.release("n", block(1))
  expect(store.revision).toBe(revision)
  expect(await one.stored()).toEqual([])
  expect(await new Leaser(store, "h2").leases.hold("n", block(1))).toEqual({ held: true })
})

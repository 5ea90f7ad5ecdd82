import { expect, test } from "bun:test"
import fc from "fast-check"
import { addressAdd, type Family, familyOf, formatAddress, parseAddress } from "../core/address.ts"
import { LariatError } from "../errors.ts"
import { type AllocateOptions, Allocator } from "./allocator.ts"
import type { PoolSpec } from "./pool.ts"

/*
 * The allocator against a reference that keeps texts in lists and searches them. The reference
 * states the rules anew: no bitmap, no offsets, no queue.
 */

const REST_MS = 10

interface ModelPool {
  readonly spec: PoolSpec
  readonly family: Family
  /** What may be given, in order. */
  addresses: string[]
  last: string | undefined
}

interface Model {
  readonly pools: readonly ModelPool[]
  now: number
  readonly given: Set<string>
  /** In order of release. */
  quarantined: { address: string; until: number }[]
}

/** The allocator is replaced by a restored one now and then. */
interface Real {
  allocator: Allocator
  readonly clock: () => number
  readonly specs: readonly PoolSpec[]
}

type Command = fc.Command<Model, Real>

function enumerate(spec: PoolSpec): string[] {
  const all: string[] = []
  for (let at = spec.start; ; at = formatAddress(addressAdd(parseAddress(at), 1))) {
    all.push(at)
    if (at === spec.end) return all
  }
}

function settle(model: Model): void {
  model.quarantined = model.quarantined.filter((rest) => rest.until > model.now)
}

function isFree(model: Model, address: string): boolean {
  return !model.given.has(address) && !model.quarantined.some((rest) => rest.address === address)
}

function restsOf(model: Model, pool: ModelPool): { address: string; until: number }[] {
  return model.quarantined.filter((rest) => pool.addresses.includes(rest.address))
}

/** The first free address after the last one of the first pool that has any. */
function modelPick(model: Model, family: Family): string | undefined {
  const pools = model.pools.filter((pool) => pool.family === family)
  for (const pool of pools) {
    const all = enumerate(pool.spec)
    const from = pool.last === undefined ? 0 : all.indexOf(pool.last) + 1
    const order = [...all.slice(from), ...all.slice(0, from)]
    const next = order.find((at) => pool.addresses.includes(at) && isFree(model, at))
    if (next !== undefined) {
      pool.last = next
      return next
    }
  }
  // Where two pools have a rest that ends at the same time, the first pool counts.
  return pools
    .flatMap((pool) => restsOf(model, pool))
    .toSorted((one, other) => one.until - other.until)[0]?.address
}

function modelGive(model: Model, address: string): void {
  model.given.add(address)
  model.quarantined = model.quarantined.filter((rest) => rest.address !== address)
}

/** What the reference gives, or the code of its refusal. */
function modelAllocate(model: Model, options: AllocateOptions): string[] | string {
  settle(model)
  const requested = options.requested ?? []
  for (const address of requested) {
    const pool = model.pools.find((some) => some.addresses.includes(address))
    if (pool === undefined) {
      const known = model.pools.some(
        ({ spec }) => spec.gateway === address || enumerate(spec).includes(address),
      )
      return known ? "address-taken" : "address-outside"
    }
    if (model.given.has(address)) return "address-taken"
  }
  const families: readonly Family[] = [4, 6]
  const wanted = families.filter(
    (family) =>
      model.pools.some((pool) => pool.family === family) &&
      !requested.some((address) => familyOf(address) === family),
  )
  for (const family of wanted) {
    const pools = model.pools.filter((pool) => pool.family === family)
    if (pools.every((pool) => pool.addresses.every((address) => model.given.has(address)))) {
      return "pool-exhausted"
    }
  }
  const result = [...new Set(requested)]
  for (const address of result) modelGive(model, address)
  for (const family of wanted) {
    const address = modelPick(model, family)
    if (address === undefined) throw new Error("the reference has no address left")
    modelGive(model, address)
    result.push(address)
  }
  const four = result.filter((address) => familyOf(address) === 4)
  return [...four, ...result.filter((address) => familyOf(address) === 6)]
}

function codeOrValue<T>(action: () => T): T | string {
  try {
    return action()
  } catch (error) {
    if (error instanceof LariatError) return error.code
    throw error
  }
}

function compare(model: Model, real: Real): void {
  settle(model)
  for (const [i, pool] of model.pools.entries()) {
    const { spec, family, addresses } = pool
    const used = addresses.filter((address) => model.given.has(address)).length
    const quarantined = restsOf(model, pool).length
    const size = addresses.length
    const free = size - used - quarantined
    expect(real.allocator.stats()[i]).toEqual({
      subnet: spec.cidr,
      family,
      size,
      used,
      quarantined,
      free,
    })
  }
}

function command(name: string, run: (model: Model, real: Real) => void): Command {
  return {
    check: () => true,
    run: (model, real) => {
      run(model, real)
      compare(model, real)
    },
    toString: () => name,
  }
}

const allocate = (options: AllocateOptions): Command =>
  command(`allocate ${JSON.stringify(options)}`, (model, real) => {
    const given = codeOrValue(() => real.allocator.allocate(options).map((some) => some.address))
    expect(given).toEqual(modelAllocate(model, options))
  })

const release = (address: string, used: boolean): Command =>
  command(`release ${address}${used ? "" : " unused"}`, (model, real) => {
    const rest = real.allocator.release(address, { used })
    const until = model.now + REST_MS
    const had = model.given.delete(address)
    if (had && used) model.quarantined.push({ address, until })
    expect(rest).toEqual(had && used ? { address, until } : undefined)
  })

const advance = (ms: number): Command =>
  command(`advance ${ms}`, (model) => {
    model.now += ms
  })

const exclude = (address: string): Command =>
  command(`exclude ${address}`, (model, real) => {
    const code = codeOrValue(() => real.allocator.exclude(address, "test"))
    expect(code).toBe(model.given.has(address) ? "address-taken" : undefined)
    if (model.given.has(address)) return
    model.quarantined = model.quarantined.filter((rest) => rest.address !== address)
    for (const pool of model.pools) {
      pool.addresses = pool.addresses.filter((some) => some !== address)
    }
  })

const restart = (): Command =>
  command("restart", (model, real) => {
    const { quarantined, cursor } = {
      quarantined: real.allocator.quarantined(),
      cursor: real.allocator.cursor(),
    }
    settle(model)
    expect(quarantined).toEqual(model.pools.flatMap((pool) => restsOf(model, pool)))
    const excluded = model.pools.flatMap((pool) =>
      enumerate(pool.spec).filter((address) => !pool.addresses.includes(address)),
    )
    real.allocator.close()
    real.allocator = build(real.specs, real.clock)
    for (const address of excluded) real.allocator.exclude(address, "test")
    expect(real.allocator.restore([...model.given], quarantined, cursor)).toEqual({
      outside: [],
      duplicate: [],
    })
  })

function build(subnets: readonly PoolSpec[], clock: () => number): Allocator {
  return new Allocator({ network: "n", subnets, restMs: REST_MS, clock })
}

const A: PoolSpec = {
  cidr: "10.0.0.0/28",
  gateway: "10.0.0.1",
  start: "10.0.0.0",
  end: "10.0.0.9",
}
const B: PoolSpec = {
  cidr: "10.0.1.0/30",
  gateway: "10.0.1.2",
  start: "10.0.1.0",
  end: "10.0.1.3",
}
const POINT: PoolSpec = {
  cidr: "10.0.2.0/31",
  gateway: "10.0.2.0",
  start: "10.0.2.0",
  end: "10.0.2.1",
}
const SIX: PoolSpec = {
  cidr: "fd00::/64",
  gateway: "fd00::1:0:0",
  start: "fd00::ffff:fffd",
  end: "fd00::1:0:3",
}
const SIX_TINY: PoolSpec = {
  cidr: "fd01::6/127",
  gateway: "fe80::1",
  start: "fd01::6",
  end: "fd01::7",
}

function fresh(specs: readonly PoolSpec[]): { model: Model; real: Real } {
  const model: Model = {
    pools: specs.map((spec) => {
      const never = spec.cidr.endsWith("/28") || spec.cidr.endsWith("/30")
      const [network] = spec.cidr.split("/")
      const special = never ? [network, "10.0.0.15", "10.0.1.3"] : []
      return {
        spec,
        family: familyOf(spec.cidr),
        addresses: enumerate(spec).filter((at) => at !== spec.gateway && !special.includes(at)),
        last: undefined,
      }
    }),
    now: 0,
    given: new Set(),
    quarantined: [],
  }
  const clock = (): number => model.now
  return { model, real: { allocator: build(specs, clock), clock, specs } }
}

for (const [name, specs] of [
  ["one subnet", [A]],
  ["two subnets of one family", [B, A]],
  ["dual stack", [A, SIX]],
  ["tiny pools of both families", [SIX_TINY, POINT, SIX, B]],
] as const) {
  test(`allocator equals the reference: ${name}`, () => {
    const address = fc.constantFrom(...specs.flatMap(enumerate), "10.0.0.14", "10.9.9.9", "fd09::9")
    const some = fc.array(address, { minLength: 1, maxLength: 2 })
    // Plain allocations by far the most often, so that pools do fill up.
    const plain = fc.constant({}).map(allocate)
    fc.assert(
      fc.property(
        fc.commands(
          [
            plain,
            plain,
            plain,
            some.map((requested) => allocate({ requested })),
            address.map((at) => release(at, true)),
            address.map((at) => release(at, true)),
            address.map((at) => release(at, false)),
            address.map((at) => release(at, true)),
            // Many small steps: a rest that is broken off and begins anew ends between two of them.
            fc.integer({ min: 1, max: 3 }).map(advance),
            fc.integer({ min: 1, max: 3 }).map(advance),
            fc.integer({ min: 0, max: REST_MS + 1 }).map(advance),
            address.map(exclude),
            fc.constant(null).map(restart),
          ],
          { maxCommands: 150, size: "max" },
        ),
        (commands) => {
          fc.modelRun(() => fresh(specs), commands)
        },
      ),
      { numRuns: 100 },
    )
  })
}

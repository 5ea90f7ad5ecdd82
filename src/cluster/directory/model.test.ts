import { describe, expect, test } from "bun:test"
import fc from "fast-check"
import { MemoryStore } from "../../../test/cluster_model/memory_store.ts"
import { GRACE_MS, Observer, REUSE_MS } from "../../../test/cluster_model/observer.ts"
import { TestHost } from "../../../test/cluster_model/test_host.ts"
import { standingClaim } from "../blocks/standing_claim.ts"
import { Keyspace } from "../records/keyspace.ts"
import type { Write } from "../store/store.ts"
import { KnownHost } from "./known_host.ts"
import { DirectoryModel } from "./model.ts"

const keys = new Keyspace("edge")
const HOSTS = 4
const BLOCKS = 5
const blockAt = (index: number) => `10.42.${index}.0/24`
const addressIn = (index: number, last: number) => `10.42.${index}.${last}`

interface ModelState {
  readonly store: MemoryStore
  readonly hosts: readonly TestHost[]
}

/** What is done, by whom, to which block and address. */
interface Step {
  readonly what: keyof typeof STEPS
  readonly host: number
  readonly block: number
  /** Another host, block, version or address, as it comes. */
  readonly other: number
}

type Work = (fixture: ModelState, host: TestHost, step: Step) => Write | undefined

/** Each is one write, or none where a host that keeps to the rules would not do it. */
const STEPS = {
  identity: (_world, host) => host.identityWrite(),
  record: (_world, host, { other }) =>
    host.recordWrite({
      labels: { version: String(other) },
      networks: { n: { driver: "ipsec", overlay: [addressIn(other, 254)], parameters: {} } },
    }),
  come: (_world, host) => host.aliveWrite(),
  go: (_world, host) => ({ key: keys.alive(host.id), value: undefined }),
  claim: (fixture, host, { block }) =>
    holderOf(fixture, block) === undefined && isRegistered(fixture, host)
      ? host.claimWrite(blockAt(block))
      : undefined,
  release: (fixture, host, { block }) =>
    holderOf(fixture, block) === host.id ? host.claimWrite(blockAt(block), "released") : undefined,
  attach: (fixture, host, { block, other }) =>
    holderOf(fixture, block) === host.id
      ? host.endpointWrite(addressIn(block, other & 3), { uuid: `${host.id} ${block} ${other}` })
      : undefined,
  detach: (_world, _host, { block, other }) => ({
    key: keys.endpoint("n", addressIn(block, other & 3)),
    value: undefined,
  }),
  "seize a block": (_world, host, { block }) => host.claimWrite(blockAt(block)),
  "release another's block": (_world, host, { block }) =>
    host.claimWrite(blockAt(block), "released"),
  "seize an address": (_world, host, { block, other }) =>
    host.endpointWrite(addressIn(block, 1), {
      addresses: [...new Set([addressIn(block, 1), addressIn(other, 1)])],
    }),
  "seize an underlay address": ({ hosts }, host, { other }) =>
    host.recordWrite({ underlay: [hosts[other % HOSTS]?.underlay ?? ""] }),
  "seize a number": (_world, host, { other }) => host.identityWrite((other % HOSTS) + 1),
  "forge a claim": (_world, host, { block }) => ({
    key: keys.block("n", blockAt(block)),
    value: new TestHost(host.id, 99, keys).claimWrite(blockAt(block)).value,
  }),
  "delete a claim": (_world, _host, { block }) => ({
    key: keys.block("n", blockAt(block)),
    value: undefined,
  }),
} as const satisfies Record<string, Work>

/** What hosts do that keep to the rules, each of their records at any time. */
const HONEST = [
  ...(["identity", "record", "come", "go", "claim", "claim", "claim", "release"] as const),
  ...(["attach", "attach", "attach", "detach"] as const),
]
/** What anybody may do who holds a host's key, or can write to the store. */
const ALL = [...HONEST, ...(Object.keys(STEPS) as (keyof typeof STEPS)[])]

function stepOf(what: readonly (keyof typeof STEPS)[]): fc.Arbitrary<Step> {
  return fc.record({
    what: fc.constantFrom(...what),
    host: fc.nat(HOSTS - 1),
    block: fc.nat(BLOCKS - 1),
    other: fc.nat(BLOCKS - 1),
  })
}

function run(fixture: ModelState, step: Step): void {
  const host = fixture.hosts[step.host]
  const work: Work = STEPS[step.what]
  const write = host === undefined ? undefined : work(fixture, host, step)
  if (write !== undefined) fixture.store.write([write])
}

function isRegistered({ store }: ModelState, { id }: TestHost): boolean {
  return store.listing(keys.identity(id)).entries.length > 0
}

function holderOf({ store }: ModelState, block: number): string | undefined {
  return standingClaim(store.listing(keys.block("n", blockAt(block))).entries[0]).holder
}

function begin(): ModelState & { readonly observer: Observer } {
  const store = new MemoryStore()
  const hosts = Array.from({ length: HOSTS }, (_, n) => new TestHost(`h${n}`, n + 1, keys))
  const observer = new Observer(keys)
  store.watch(keys.prefix, observer.directory)
  return { store, hosts, observer }
}

/** How an observer hears of what was done. */
interface Hearing {
  readonly changes: number
  readonly compact: boolean
  readonly ms: number
}

const hearing: fc.Arbitrary<Hearing> = fc.record({
  changes: fc.nat(6),
  compact: fc.nat(9).map((one) => one === 0),
  ms: fc.constantFrom(0, 1, GRACE_MS / 2, GRACE_MS),
})

function hear(
  { store, observer }: ReturnType<typeof begin>,
  { changes, compact, ms }: Hearing,
): void {
  if (compact) store.compact()
  store.deliver(changes)
  observer.now += ms
  observer.directory.tick()
}

/** Everything is heard, and enough time passes for what was missed: a release, or a silent host. */
function finish({ store, observer }: ReturnType<typeof begin>): void {
  store.deliver()
  observer.now += REUSE_MS
  observer.directory.tick()
}

describe("whatever hosts do", () => {
  test("a directory that heard it bit by bit is as one that reads it all at the end", () => {
    fc.assert(
      fc.property(
        fc.array(fc.tuple(stepOf(HONEST), hearing), { minLength: 30, maxLength: 90 }),
        (steps) => {
          const fixture = begin()
          for (const [step, how] of steps) {
            run(fixture, step)
            hear(fixture, how)
          }
          finish(fixture)
          const fresh = new Observer(keys)
          fresh.directory.snapshot(fixture.store.listing(keys.prefix))
          fresh.now += REUSE_MS
          fresh.directory.tick()
          expect(fixture.observer.shape()).toEqual(fresh.shape())
          expect(sorted(fixture.observer.containers)).toEqual(sorted(fresh.containers))
        },
      ),
      { numRuns: 100 },
    )
  })

  test("nothing is held twice, and who is told has what the directory has", () => {
    fc.assert(
      fc.property(
        fc.array(fc.tuple(stepOf(ALL), hearing, fc.nat(20)), { minLength: 20, maxLength: 80 }),
        (steps) => {
          const fixture = begin()
          const { observer } = fixture
          for (const [one, how, long] of steps) {
            run(fixture, one)
            hear(fixture, how)
            if (long === 0) observer.now += REUSE_MS
            expectSound(observer)
          }
          finish(fixture)
          expectSound(observer)
        },
      ),
      { numRuns: 100 },
    )
  })
})

function sorted<T>(map: ReadonlyMap<string, T>): [string, T][] {
  return [...map].sort(([a], [b]) => (a < b ? -1 : 1))
}

function expectSound({ directory, containers }: Observer): void {
  const hosts = directory.hosts()
  const numbers = hosts.map(({ number }) => number)
  expect(new Set(numbers).size).toBe(numbers.length)
  const blocks = hosts.flatMap((host) => host.blocksOf("n"))
  expect(new Set(blocks).size).toBe(blocks.length)
  const peers = directory.peers("n")
  const underlay = peers.flatMap((peer) => peer.underlay)
  expect(new Set(underlay).size).toBe(underlay.length)
  const addresses = new Set<string>()
  const uuids = new Set<string>()
  for (const host of hosts) {
    for (const [place, { addresses: all, uuid }] of host.endpoints) {
      expect(all.every((address) => host.holds("n", address))).toBe(true)
      addresses.add(place)
      uuids.add(`n ${uuid}`)
    }
  }
  expect([...containers.keys()].sort()).toEqual([...uuids].sort())
  for (const peer of peers) {
    expect(peer.overlay.every((one) => directory.host(peer.hostId)?.holds("n", one))).toBe(true)
  }
}

/** A host on the mesh that holds the first block. */
function admitted(model: DirectoryModel): KnownHost {
  const host = new KnownHost("h1", 1, 0)
  host.record = { name: "one", underlay: ["192.0.2.1"], labels: {}, networks: {} }
  host.member = true
  model.add(host)
  expect(model.admit(host)).toBeUndefined()
  model.hold(host, "n 1", blockAt(1))
  return host
}

test("a container that is attached anew with its addresses is another endpoint", () => {
  const heard: string[] = []
  const model = new DirectoryModel(
    {
      endpointPut: (_network, _hostId, { createIndex }) => heard.push(`put ${createIndex}`),
      endpointRemoved: (_network, _hostId, { createIndex }) => heard.push(`removed ${createIndex}`),
    },
    () => [],
  )
  const host = admitted(model)
  const addresses = [addressIn(1, 7), addressIn(1, 8)]
  const record = { uuid: "u1", containerId: "c1", name: "web", addresses, mac: undefined }
  for (const createIndex of [1, 2]) {
    for (const address of addresses) {
      model.putEndpoint(host, "n 1", address, { ...record, labels: {}, createIndex })
    }
  }
  expect(heard).toEqual(["put 1", "put 1", "put 2", "removed 1", "put 2"])
})

test("a host that is taken out leaves nothing behind", () => {
  const removed: string[] = []
  const model = new DirectoryModel(
    {
      endpointPut: () => undefined,
      endpointRemoved: (_network, _hostId, { uuid }) => removed.push(uuid),
    },
    () => [],
  )
  const host = admitted(model)
  const record = {
    uuid: "u1",
    containerId: "c1",
    name: "web",
    addresses: [addressIn(1, 7)],
    mac: undefined,
    labels: {},
    createIndex: 1,
  }
  model.putEndpoint(host, "n 1", addressIn(1, 7), record)
  const other = new KnownHost("h2", 2, 0)
  other.record = { name: "two", underlay: ["192.0.2.1"], labels: {}, networks: {} }
  other.member = true
  model.add(other)
  expect(model.admit(other)).toEqual({ address: "192.0.2.1", owner: "h1" })
  model.delete(host)
  expect(removed).toEqual(["u1"])
  expect(model.holderOf("n 1", blockAt(1))).toBeUndefined()
  expect([...model.freedBlocks]).toEqual([`n 1 ${blockAt(1)}`])
  expect(model.admit(other)).toBeUndefined()
  expect([...model.hosts.keys()]).toEqual(["h2"])
})

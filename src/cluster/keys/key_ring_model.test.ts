/** Every order of events that is tried leaves the invariants of the key ring whole. */
import { expect, test } from "bun:test"
import fc from "fast-check"
import { GRACE_MS, Simulation } from "../../../test/cluster_model/key_ring_simulation.ts"

/** One event: what happens, at which host, and to which other. */
type Event = (simulation: Simulation) => void

/** An event with a name that a failing run prints. */
function named(name: string, event: Event): Event {
  return Object.assign(event, { toString: () => name, toJSON: () => name })
}

const host = fc.nat(3)

const deliver = fc
  .tuple(host, fc.boolean(), fc.integer({ min: 1, max: 4 }), fc.boolean())
  .map(([at, acks, most, last]) => {
    const prefix = acks ? "acks/" : "keys/"
    return named(`deliver ${prefix} ${last ? "last of " : ""}${most} to ${at}`, (simulation) =>
      simulation.deliver(simulation.host(at), prefix, most, last),
    )
  })
const step = host.map((at) =>
  named(`step ${at}`, (simulation) => simulation.step(simulation.host(at))),
)
const land = host.map((at) =>
  named(`land ${at}`, (simulation) => simulation.land(simulation.host(at))),
)
const respond = fc
  .tuple(host, fc.boolean())
  .map(([at, lost]) =>
    named(`respond ${at} ${lost ? "lost" : ""}`, (simulation) =>
      simulation.respond(simulation.host(at), lost),
    ),
  )
const wait = fc.nat(GRACE_MS).map((ms) =>
  named(`wait ${ms}`, (simulation) => {
    simulation.now += ms
  }),
)
const rotate = host.map((at) =>
  named(`rotate ${at}`, (simulation) => simulation.host(at).ring.rotate()),
)
const round = host.map((at) =>
  named(`round ${at}`, (simulation) => simulation.round(simulation.host(at))),
)
/** Time enough for a whole rotation goes by, and the others hear nothing of it. */
const alone = fc.tuple(host, fc.integer({ min: 2, max: 4 })).map(([at, rounds]) =>
  named(`alone ${at} for ${rounds}`, (simulation) => {
    for (let n = 0; n < rounds; n++) {
      simulation.round(simulation.host(at))
      simulation.check()
      simulation.now += GRACE_MS
      simulation.step(simulation.host(at))
      simulation.check()
    }
  }),
)
const restart = fc
  .tuple(host, fc.boolean())
  .map(([at, reboot]) =>
    named(`${reboot ? "reboot" : "restart"} ${at}`, (simulation) =>
      simulation.restart(simulation.host(at), reboot),
    ),
  )
/** A second restore only once everybody has met the first: see Simulation.restore. */
const restore = fc
  .boolean()
  .map((back) =>
    named(back ? "restore" : "snapshot", (simulation) =>
      back ? simulation.restore() : simulation.store.snapshot(),
    ),
  )
const come = fc
  .tuple(host, host, fc.constantFrom("remove", "put", "dead", "alive"))
  .map(([at, to, what]) =>
    named(`${at}: ${what} ${to}`, (simulation) => {
      const [one, other] = [simulation.host(at), simulation.host(to)]
      if (one === other) return
      if (what === "remove") simulation.remove(one, other)
      else if (what === "put") simulation.put(one, other)
      else simulation.setAlive(one, other, what === "alive")
    }),
  )

const ordinary = [
  { weight: 8, arbitrary: deliver },
  { weight: 6, arbitrary: step },
  { weight: 5, arbitrary: land },
  { weight: 5, arbitrary: respond },
  { weight: 6, arbitrary: round },
  { weight: 2, arbitrary: alone },
  { weight: 5, arbitrary: wait },
  { weight: 2, arbitrary: rotate },
]
const faults = [
  { weight: 1, arbitrary: restart },
  { weight: 1, arbitrary: restore },
  { weight: 1, arbitrary: come },
]

/** All talk to all, each on one association per network, with the keys of the newest of both. */
function expectMesh(simulation: Simulation): void {
  for (const from of simulation.hosts) {
    const { live, rotating, waitingFor } = from.ring.rotation()
    expect({ live: live.length, rotating, waitingFor }).toEqual({
      ...{ live: 1, rotating: false, waitingFor: [] },
    })
    for (const to of simulation.hosts) {
      if (to === from) continue
      const kernel = from.kernel.get(to.id)
      const there = to.kernel.get(from.id)
      expect(kernel?.sending.size).toBe(2)
      expect(kernel?.outbound.size).toBe(2)
      expect(kernel?.inbound.size).toBe(2)
      expect(kernel?.outbound).toEqual(there?.inbound ?? new Map())
    }
  }
}

function run(hosts: number, events: readonly Event[], met = false): Simulation {
  const simulation = new Simulation(hosts)
  if (met) simulation.settle()
  for (const each of events) {
    each(simulation)
    simulation.check()
  }
  simulation.settle()
  expectMesh(simulation)
  return simulation
}

const RUNS = Number(process.env.LARIAT_MODEL_RUNS ?? 150)

test("rotations with late and reordered deliveries lose no packet and all finish", () => {
  fc.assert(
    fc.property(
      fc.integer({ min: 2, max: 4 }),
      fc.array(fc.oneof(...ordinary), { minLength: 20, maxLength: 120 }),
      (hosts, events) => {
        run(hosts, events)
      },
    ),
    { numRuns: RUNS, includeErrorInReport: true },
  )
}, 60_000)

test("so do restarts, reboots, hosts that come and go, and a store that is put back", () => {
  fc.assert(
    fc.property(
      fc.integer({ min: 2, max: 4 }),
      fc.array(fc.oneof(...ordinary, ...faults), { minLength: 20, maxLength: 160 }),
      (hosts, events) => {
        run(hosts, events, true)
      },
    ),
    { numRuns: RUNS, includeErrorInReport: true },
  )
}, 60_000)

test("a rotation of one among many costs each host two writes, and none after", () => {
  const simulation = new Simulation(12)
  simulation.settle()
  for (const each of simulation.hosts) each.writes = 0
  simulation.host(0).ring.rotate()
  simulation.settle()
  expectMesh(simulation)
  for (const [n, { writes }] of simulation.hosts.entries()) {
    expect(writes).toBeLessThanOrEqual(n === 0 ? 4 : 2)
  }
})

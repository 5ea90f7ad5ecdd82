/** Courses of events that the model test found to lose packets, or never to come to rest. */
import { describe, expect, test } from "bun:test"
import { GRACE_MS, Simulation } from "../../../test/cluster_model/key_ring_simulation.ts"

describe("no packet is lost and all comes to rest", () => {
  function settled(hosts: number) {
    const simulation = new Simulation(hosts)
    simulation.settle()
    return simulation
  }
  function alone(simulation: Simulation, index: number, rounds: number): void {
    const host = simulation.host(index)
    for (let n = 0; n < rounds; n++) {
      simulation.round(host)
      simulation.check()
      simulation.now += GRACE_MS
      simulation.step(host)
      simulation.check()
    }
  }
  function rest(simulation: Simulation): void {
    simulation.check()
    simulation.settle()
    for (const { ring } of simulation.hosts) expect(ring.rotation().rotating).toBe(false)
  }

  test("when announcements are told ahead of acknowledgements, and only the last of each", () => {
    const simulation = new Simulation(3)
    const [first, third] = [simulation.host(0), simulation.host(2)]
    third.ring.rotate()
    alone(simulation, 0, 2)
    simulation.round(third)
    simulation.deliver(first, "acks/", 1)
    simulation.round(third)
    simulation.deliver(first, "keys/", 2, true)
    simulation.step(first)
    rest(simulation)
  })

  test("when a host does not hear that it has written, and writes the same again", () => {
    const simulation = new Simulation(2)
    const [first, second] = [simulation.host(0), simulation.host(1)]
    alone(simulation, 1, 2)
    simulation.deliver(first, "keys/", 1)
    simulation.step(first)
    simulation.land(first)
    simulation.round(second)
    simulation.respond(first, true)
    simulation.step(first)
    simulation.land(first)
    simulation.respond(first, false)
    rest(simulation)
    expect(first.kernel.get("h1")?.sending.size).toBe(2)
  })

  test("when a host does not hear of its first write of new keys, but of its second", () => {
    const simulation = new Simulation(2)
    const [first, second] = [simulation.host(0), simulation.host(1)]
    simulation.round(second)
    first.ring.rotate()
    simulation.round(first)
    simulation.step(first)
    simulation.land(first)
    simulation.respond(first, true)
    simulation.step(first)
    first.ring.rotate()
    simulation.round(second)
    simulation.land(first)
    simulation.round(first)
    rest(simulation)
  })

  test("when a host restarts and the store lost what its peer had announced", () => {
    const simulation = new Simulation(2)
    simulation.store.snapshot()
    simulation.settle()
    simulation.restart(simulation.host(1), false)
    simulation.round(simulation.host(0))
    simulation.restore()
    alone(simulation, 1, 4)
    rest(simulation)
  })

  test("when a host that restarted holds another for dead, and drops what it sent on", () => {
    const simulation = settled(2)
    const [first, second] = [simulation.host(0), simulation.host(1)]
    simulation.setAlive(first, second, false)
    first.ring.rotate()
    alone(simulation, 0, 2)
    simulation.restart(first, false)
    alone(simulation, 0, 4)
    rest(simulation)
  })

  test("when a host with four generations takes another off and lets it in again", () => {
    const simulation = settled(2)
    const [first, second] = [simulation.host(0), simulation.host(1)]
    for (let n = 0; n < 3; n++) {
      first.ring.rotate()
      simulation.round(first)
    }
    expect(first.ring.rotation().live).toHaveLength(4)
    simulation.remove(first, second)
    rest(simulation)
  })

  test("when a host was taken off before, or after, the store was put back", () => {
    for (const before of [true, false]) {
      const simulation = new Simulation(2)
      simulation.store.snapshot()
      simulation.settle()
      const [first, second] = [simulation.host(0), simulation.host(1)]
      first.ring.rotate()
      simulation.round(first)
      if (before) simulation.remove(second, first)
      simulation.restore()
      simulation.round(second)
      if (!before) simulation.remove(second, first)
      rest(simulation)
    }
  })

  test("when a host reboots while the store is put back, and others have not noticed", () => {
    const simulation = new Simulation(2)
    simulation.store.snapshot()
    simulation.settle()
    const [first, second] = [simulation.host(0), simulation.host(1)]
    second.ring.rotate()
    simulation.step(second)
    simulation.restore()
    simulation.restart(first, true)
    simulation.round(first)
    simulation.land(second)
    for (let n = 0; n < 3; n++) {
      simulation.round(first)
      simulation.check()
    }
    rest(simulation)
  })
})

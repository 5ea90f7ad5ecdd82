import { afterEach, beforeEach, describe, expect, test } from "bun:test"
import { createPort } from "../../src/endpoint/create_port.ts"
import { PARKED_GROUP } from "../../src/endpoint/host_link.ts"
import { Kernel } from "../../src/endpoint/kernel.ts"
import { removePort, sweepParked } from "../../src/endpoint/remove_port.ts"
import { changeLink } from "../../src/netlink/route/link.ts"
import { withNetns } from "../../src/sys/netns/netns.ts"
import { Fixture } from "./endpoint_fixture.ts"
import { ip } from "./guard.ts"

let fixture: Fixture

beforeEach(() => {
  fixture = new Fixture()
})
afterEach(() => fixture.close())

describe("removePort", () => {
  test("the link is gone on both sides when it resolves", async () => {
    const bridge = fixture.bridge()
    const spec = fixture.spec(1, bridge.index)
    const { hostIndex } = createPort(fixture.kernel, fixture.netns("box"), spec)
    await removePort(fixture.kernel, hostIndex)
    expect(fixture.kernel.link(hostIndex)).toBeUndefined()
    expect(ip("link")).not.toContain(spec.hostName)
    expect(ip("-n", "box", "link")).not.toContain("eth0")
  })

  test("the same attachment can be made again at once", async () => {
    const bridge = fixture.bridge()
    const netns = fixture.netns("box")
    for (let i = 0; i < 20; i++) {
      const { hostIndex } = createPort(fixture.kernel, netns, fixture.spec(1, bridge.index))
      await removePort(fixture.kernel, hostIndex)
    }
    expect(fixture.kernel.links({ master: bridge.index })).toEqual([])
  })

  test("a link that is gone already counts as removed", async () => {
    const bridge = fixture.bridge()
    const spec = fixture.spec(1, bridge.index)
    const { hostIndex } = createPort(fixture.kernel, fixture.netns("box"), spec)
    ip("link", "del", spec.hostName)
    await removePort(fixture.kernel, hostIndex)
    await removePort(fixture.kernel, hostIndex)
    await removePort(fixture.kernel, 999_999)
  })

  test("a link that is not Lariat's stays", async () => {
    const { index } = fixture.bridge()
    const removal = removePort(fixture.kernel, index)
    await expect(removal).rejects.toMatchObject({ code: "not-attached" })
    expect(fixture.kernel.link(index)).toBeDefined()
  })

  test("a hundred at once, half of them while the others are under way", async () => {
    const bridge = fixture.bridge()
    const ports = fixture.ports(fixture.netns("box"), bridge.index, 100)
    const removals = ports
      .slice(0, 50)
      .map(({ hostIndex }) => removePort(fixture.kernel, hostIndex))
    await Bun.sleep(2)
    removals.push(...ports.slice(50).map(({ hostIndex }) => removePort(fixture.kernel, hostIndex)))
    await Promise.all(removals)
    expect(fixture.kernel.links({ master: bridge.index })).toEqual([])
  })

  test("a stream of them, more than can be under way", async () => {
    const bridge = fixture.bridge()
    const ports = fixture.ports(fixture.netns("box"), bridge.index, 60)
    const removals: Promise<void>[] = []
    for (const { hostIndex } of ports) {
      removals.push(removePort(fixture.kernel, hostIndex))
      await Bun.sleep(1)
    }
    await Promise.all(removals)
    expect(fixture.kernel.links({ master: bridge.index })).toEqual([])
  })

  test("containers that end by themselves meanwhile do not disturb it", async () => {
    const bridge = fixture.bridge()
    const ports = fixture.ports(fixture.netns("box"), bridge.index, 20)
    const removals = ports.map(({ hostIndex }) => removePort(fixture.kernel, hostIndex))
    fixture.end("box")
    await Promise.all(removals)
    for (const { hostIndex } of ports) expect(fixture.kernel.link(hostIndex)).toBeUndefined()
  })

  test("what the agent may not do is an error", async () => {
    const bridge = fixture.bridge()
    const [port] = fixture.ports(fixture.netns("box"), bridge.index, 1)
    const kernel = Kernel.open()
    kernel.close()
    await expect(removePort(kernel, port?.hostIndex ?? 0)).rejects.toThrow(/Cannot read link/)
  })
})

describe("sweepParked", () => {
  test("deletes what is parked, and only that", async () => {
    const bridge = fixture.bridge()
    const ports = fixture.ports(fixture.netns("box"), bridge.index, 10)
    const parked = ports.slice(0, 4).map(({ hostIndex }) => hostIndex)
    fixture.kernel.apply(parked.map((index) => changeLink(index, { group: PARKED_GROUP })))
    expect(await sweepParked(fixture.kernel)).toBe(4)
    const left = fixture.kernel.links({ master: bridge.index }).map(({ index }) => index)
    expect(left).toEqual(ports.slice(4).map(({ hostIndex }) => hostIndex))
    expect(await sweepParked(fixture.kernel)).toBe(0)
  })
})

test("a kernel works on its own namespace, wherever the thread is", async () => {
  const bridge = fixture.bridge()
  const netns = fixture.netns("box")
  const [port] = fixture.ports(netns, bridge.index, 1)
  const removal = withNetns(fixture.netns("elsewhere"), () => ({
    promise: removePort(fixture.kernel, port?.hostIndex ?? 0),
  }))
  await removal.promise
  expect(fixture.kernel.links({ master: bridge.index })).toEqual([])
})

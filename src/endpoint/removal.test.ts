import { describe, expect, test } from "bun:test"
import { LariatError } from "../errors.ts"
import { NetlinkError } from "../netlink/error.ts"
import { type MessageWriter, parseMessages } from "../netlink/message.ts"
import { ENODEV, EPERM } from "../sys/ffi/errno.ts"
import { PARKED_GROUP } from "./host_link.ts"
import { Removals } from "./removal.ts"

/** A deletion that was sent; it is over when the test says so. */
class Sent {
  /** 0 for a group. */
  readonly index: number
  isOver = false
  error: Error | undefined

  constructor(message: MessageWriter) {
    this.index = indexOf(message)
  }

  end(error?: Error): void {
    this.isOver = true
    this.error = error
  }
}

/** The kernel as the deletions see it. */
class FakeKernel {
  readonly links = new Map<number, { group: number }>()
  readonly sent: Sent[] = []
  readonly removals: Removals
  #later: (() => void)[] = []

  constructor(count: number) {
    for (let index = 1; index <= count; index++) this.links.set(index, { group: 0 })
    this.removals = new Removals({
      start: (message) => {
        const sent = new Sent(message)
        this.sent.push(sent)
        return () => {
          if (sent.error !== undefined) throw sent.error
          return sent.isOver
        }
      },
      tryAll: (batch) => batch.map((writer) => this.#setGroup(writer)),
      exists: (index) => this.links.has(index),
      later: (callback) => void this.#later.push(callback),
    })
  }

  /** Lets a moment pass. */
  async tick(): Promise<void> {
    await Promise.resolve()
    for (const callback of this.#later.splice(0)) callback()
    await Promise.resolve()
  }

  get idle(): boolean {
    return this.#later.length === 0
  }

  #setGroup(writer: MessageWriter) {
    const link = this.links.get(indexOf(writer))
    if (link !== undefined) link.group = PARKED_GROUP
    const error = link === undefined ? new NetlinkError("park", ENODEV) : undefined
    return { answers: [], error }
  }
}

/** The link that a message names, 0 for one of a group. */
function indexOf(message: MessageWriter): number {
  const [parsed] = parseMessages(message.finish(1))
  return new DataView(parsed?.payload.slice().buffer ?? new ArrayBuffer(8)).getInt32(4, true)
}

/** "pending", "done" or the error. */
function watch(promise: Promise<void>): { state: unknown } {
  const seen: { state: unknown } = { state: "pending" }
  promise.then(
    () => {
      seen.state = "done"
    },
    (error: unknown) => {
      seen.state = error
    },
  )
  return seen
}

describe("Removals", () => {
  test("resolves when the link is to be seen no more, long before the kernel answers", async () => {
    const kernel = new FakeKernel(2)
    const seen = watch(kernel.removals.remove(1))
    await kernel.tick()
    expect(kernel.sent[0]?.index).toBe(1)
    kernel.links.delete(2)
    await kernel.tick()
    expect(seen.state).toBe("pending")
    kernel.links.delete(1)
    await kernel.tick()
    expect(seen.state).toBe("done")
    expect(kernel.idle).toBe(false)
  })

  test("resolves on the answer, whatever is to be seen", async () => {
    const kernel = new FakeKernel(1)
    const seen = watch(kernel.removals.remove(1))
    await kernel.tick()
    kernel.sent[0]?.end()
    await kernel.tick()
    expect(seen.state).toBe("done")
  })

  test("a link that was gone already is a success, any other refusal is not", async () => {
    const kernel = new FakeKernel(2)
    const gone = watch(kernel.removals.remove(1))
    await kernel.tick()
    const refused = watch(kernel.removals.remove(2))
    await kernel.tick()
    const refusal = new NetlinkError("delete link 2", EPERM)
    kernel.sent[0]?.end(new NetlinkError("delete link 1", ENODEV))
    kernel.sent[1]?.end(refusal)
    await kernel.tick()
    expect(gone.state).toBe("done")
    expect(refused.state).toBe(refusal)
  })

  test("many at once are one message; those that are gone resolve at once", async () => {
    const kernel = new FakeKernel(99)
    const seen = Array.from({ length: 100 }, (_, i) => watch(kernel.removals.remove(i + 1)))
    await kernel.tick()
    expect(kernel.sent.map(({ index }) => index)).toEqual([0])
    expect([...kernel.links.values()].every(({ group }) => group === PARKED_GROUP)).toBe(true)
    expect(seen[99]?.state).toBe("done")
    expect(seen[0]?.state).toBe("pending")
    kernel.sent[0]?.end()
    await kernel.tick()
    expect(seen.every(({ state }) => state === "done")).toBe(true)
  })

  test("when as many as may be are under way, what comes waits and goes as a group", async () => {
    const kernel = new FakeKernel(20)
    for (let index = 1; index <= 12; index++) {
      watch(kernel.removals.remove(index))
      await kernel.tick()
    }
    expect(kernel.sent.map(({ index }) => index)).toEqual([1, 2, 3, 4, 5, 6, 7, 8])
    kernel.sent[2]?.end()
    await kernel.tick()
    expect(kernel.sent.length).toBe(9)
    expect(kernel.sent[8]?.index).toBe(0)
    const parked = [...kernel.links].filter(([, { group }]) => group === PARKED_GROUP)
    expect(parked.map(([index]) => index)).toEqual([9, 10, 11, 12])
  })

  test("one link asked for twice is deleted once", async () => {
    const kernel = new FakeKernel(1)
    expect(kernel.removals.remove(1)).toBe(kernel.removals.remove(1))
    await kernel.tick()
    expect(kernel.sent.length).toBe(1)
  })

  test("is quiet when nothing is left, and begins anew", async () => {
    const kernel = new FakeKernel(1)
    watch(kernel.removals.remove(1))
    await kernel.tick()
    kernel.sent[0]?.end()
    await kernel.tick()
    expect(kernel.idle).toBe(true)
    const again = watch(kernel.removals.remove(1))
    await kernel.tick()
    kernel.sent[1]?.end()
    await kernel.tick()
    expect(again.state).toBe("done")
  })

  test("a look that fails is told to all who wait", async () => {
    const kernel = new FakeKernel(2)
    kernel.links.get = () => {
      throw new NetlinkError("park", EPERM)
    }
    const seen = [1, 2].map((index) => watch(kernel.removals.remove(index)))
    await kernel.tick()
    for (const { state } of seen) expect(state).toMatchObject({ errno: EPERM })
    expect(kernel.idle).toBe(true)
  })

  test("closing gives up what waits, and looks on until what was sent is over", async () => {
    const kernel = new FakeKernel(1)
    const seen = watch(kernel.removals.remove(1))
    await kernel.tick()
    kernel.removals.close()
    await kernel.tick()
    expect(seen.state).toBeInstanceOf(LariatError)
    expect(kernel.idle).toBe(false)
    kernel.sent[0]?.end()
    await kernel.tick()
    expect(kernel.idle).toBe(true)
    await expect(kernel.removals.remove(1)).rejects.toMatchObject({ code: "busy" })
  })
})

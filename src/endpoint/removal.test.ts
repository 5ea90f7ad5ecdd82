import { describe, expect, test } from "bun:test"
import { LariatError } from "../errors.ts"
import { RTM_DELLINK } from "../netlink/constants.ts"
import { NetlinkError } from "../netlink/error.ts"
import { MessageWriter, parseMessages } from "../netlink/message.ts"
import { ENOBUFS, ENODEV, EPERM } from "../sys/ffi/errno.ts"
import { PARKED_GROUP } from "./host_link.ts"
import { type PendingWrite, Removals } from "./removal.ts"

/** The kernel as the deletions see it; its answers come when the test says so. */
class FakeKernel {
  readonly links = new Map<number, { group: number }>()
  readonly removals: Removals
  /** Datagrams that wait, or a loss. */
  readonly notes: (Uint8Array | "lost")[] = []
  /** The writes under way, oldest first. */
  readonly writes: { readonly bytes: Uint8Array; end: (errno: number) => void }[] = []
  notesOpen = 0
  sendersOpen = 0
  #later: (() => void)[] = []

  constructor(count: number) {
    for (let index = 1; index <= count; index++) this.links.set(index, { group: 0 })
    this.removals = new Removals({
      openNotes: () => {
        this.notesOpen++
        return { receive: () => this.#note(), close: () => void this.notesOpen-- }
      },
      openSender: () => this.#sender(),
      write: (fd, bytes) => this.#write(fd, bytes.slice()),
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

  /** What the kernel says of a link's end; family 7 is AF_BRIDGE. */
  notify(index: number, family = 0): void {
    const message = new MessageWriter(RTM_DELLINK).u8(family).zeros(3).i32(index).zeros(8)
    this.notes.push(message.finish(0).slice())
  }

  #note(): Uint8Array | undefined {
    const note = this.notes.shift()
    if (note === "lost") throw new NetlinkError("read netlink messages", ENOBUFS)
    return note
  }

  readonly #acks = new Map<number, Uint8Array>()

  #sender() {
    const fd = this.sendersOpen++
    return {
      fd,
      receive: () => {
        const ack = this.#acks.get(fd)
        this.#acks.delete(fd)
        return ack
      },
      close: () => void this.sendersOpen--,
    }
  }

  #write(fd: number, bytes: Uint8Array): PendingWrite {
    let written: number | undefined
    this.writes.push({
      bytes,
      end: (errno) => {
        written = bytes.length
        // struct nlmsgerr: the error, the header of the request.
        this.#acks.set(fd, new MessageWriter(2).i32(-errno).zeros(16).finish(1).slice())
      },
    })
    return { poll: () => written }
  }

  #setGroup(writer: MessageWriter) {
    const [message] = parseMessages(writer.finish(1))
    const index = new DataView(message?.payload.slice().buffer ?? new ArrayBuffer(8)).getInt32(
      4,
      true,
    )
    const link = this.links.get(index)
    if (link !== undefined) link.group = PARKED_GROUP
    const error = link === undefined ? new NetlinkError("park", ENODEV) : undefined
    return { answers: [], error }
  }
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

/** The index of a deletion, 0 for one of a group. */
function deletedIndex(bytes: Uint8Array | undefined): number {
  return new DataView(bytes?.slice().buffer ?? new ArrayBuffer(24)).getInt32(20, true)
}

describe("Removals", () => {
  test("resolves on the notification, long before the write comes back", async () => {
    const kernel = new FakeKernel(1)
    const seen = watch(kernel.removals.remove(1))
    await kernel.tick()
    expect(deletedIndex(kernel.writes[0]?.bytes)).toBe(1)
    expect(seen.state).toBe("pending")
    kernel.notify(1)
    await kernel.tick()
    expect(seen.state).toBe("done")
  })

  test("is not taken in by a port that only leaves its bridge, or by another link", async () => {
    const kernel = new FakeKernel(2)
    const seen = watch(kernel.removals.remove(1))
    await kernel.tick()
    kernel.notify(1, 7)
    kernel.notify(2)
    await kernel.tick()
    expect(seen.state).toBe("pending")
  })

  test("resolves on the acknowledgement when the notification never comes", async () => {
    const kernel = new FakeKernel(1)
    const seen = watch(kernel.removals.remove(1))
    await kernel.tick()
    kernel.writes[0]?.end(0)
    await kernel.tick()
    expect(seen.state).toBe("done")
  })

  test("a link that was gone already is a success, any other refusal is not", async () => {
    const kernel = new FakeKernel(2)
    const gone = watch(kernel.removals.remove(1))
    await kernel.tick()
    const refused = watch(kernel.removals.remove(2))
    await kernel.tick()
    kernel.writes[0]?.end(ENODEV)
    kernel.writes[1]?.end(EPERM)
    await kernel.tick()
    expect(gone.state).toBe("done")
    expect(refused.state).toMatchObject({ errnoName: "EPERM", operation: "delete link 2" })
  })

  test("many at once are one message; those that are gone resolve at once", async () => {
    const kernel = new FakeKernel(99)
    const seen = Array.from({ length: 100 }, (_, i) => watch(kernel.removals.remove(i + 1)))
    await kernel.tick()
    expect(kernel.writes.length).toBe(1)
    expect(deletedIndex(kernel.writes[0]?.bytes)).toBe(0)
    expect([...kernel.links.values()].every(({ group }) => group === PARKED_GROUP)).toBe(true)
    expect(seen[99]?.state).toBe("done")
    expect(seen[0]?.state).toBe("pending")
    kernel.writes[0]?.end(0)
    await kernel.tick()
    expect(seen.every(({ state }) => state === "done")).toBe(true)
  })

  test("when all senders are busy, what comes waits and goes as a group", async () => {
    const kernel = new FakeKernel(20)
    for (let index = 1; index <= 12; index++) {
      watch(kernel.removals.remove(index))
      await kernel.tick()
    }
    expect(kernel.writes.map(({ bytes }) => deletedIndex(bytes))).toEqual([1, 2, 3, 4, 5, 6, 7, 8])
    kernel.writes[2]?.end(0)
    await kernel.tick()
    expect(kernel.writes.length).toBe(9)
    expect(deletedIndex(kernel.writes[8]?.bytes)).toBe(0)
    const parked = [...kernel.links].filter(([, { group }]) => group === PARKED_GROUP)
    expect(parked.map(([index]) => index)).toEqual([9, 10, 11, 12])
  })

  test("one link asked for twice is deleted once", async () => {
    const kernel = new FakeKernel(1)
    expect(kernel.removals.remove(1)).toBe(kernel.removals.remove(1))
    await kernel.tick()
    expect(kernel.writes.length).toBe(1)
  })

  test("after a loss of notifications it looks for itself", async () => {
    const kernel = new FakeKernel(2)
    const first = watch(kernel.removals.remove(1))
    await kernel.tick()
    const second = watch(kernel.removals.remove(2))
    await kernel.tick()
    kernel.links.delete(1)
    kernel.notes.push("lost")
    await kernel.tick()
    expect(first.state).toBe("done")
    expect(second.state).toBe("pending")
  })

  test("is quiet when nothing is left: no timer, no open notifications", async () => {
    const kernel = new FakeKernel(1)
    watch(kernel.removals.remove(1))
    await kernel.tick()
    expect(kernel.notesOpen).toBe(1)
    kernel.notify(1)
    kernel.writes[0]?.end(0)
    await kernel.tick()
    expect(kernel.idle).toBe(true)
    expect(kernel.notesOpen).toBe(0)
    const again = watch(kernel.removals.remove(1))
    await kernel.tick()
    kernel.writes[1]?.end(0)
    await kernel.tick()
    expect(again.state).toBe("done")
    expect(kernel.sendersOpen).toBe(1)
  })

  test("closing gives up what waits, and keeps a sender until its write is over", async () => {
    const kernel = new FakeKernel(1)
    const seen = watch(kernel.removals.remove(1))
    await kernel.tick()
    kernel.removals.close()
    await kernel.tick()
    expect(seen.state).toBeInstanceOf(LariatError)
    expect(kernel.sendersOpen).toBe(1)
    kernel.writes[0]?.end(0)
    await kernel.tick()
    expect(kernel.sendersOpen).toBe(0)
    expect(kernel.notesOpen).toBe(0)
    expect(kernel.idle).toBe(true)
    await expect(kernel.removals.remove(1)).rejects.toMatchObject({ code: "busy" })
  })
})

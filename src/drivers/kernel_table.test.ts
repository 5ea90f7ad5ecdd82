import { describe, expect, test } from "bun:test"
import fc from "fast-check"
import { NetlinkError } from "../netlink/error.ts"
import { MessageWriter } from "../netlink/message.ts"
import type { Outcome } from "../netlink/socket.ts"
import { EBUSY, ENOENT } from "../sys/ffi/errno.ts"
import { KernelTable, settle } from "./kernel_table.ts"

interface Row {
  readonly key: string
  readonly value: number
}

/** The rows of a kernel. */
function tableOf(kernel: FakeKernel): KernelTable<Row> {
  return new KernelTable<Row>(kernel, {
    what: "row",
    key: ({ key }) => key,
    same: (a, b) => a.value === b.value,
    add: ({ key, value }) => new MessageWriter(1, 0, { operation: `add ${key} ${value}` }),
    remove: ({ key }) => new MessageWriter(2, 0, { operation: `remove ${key}` }),
    list: () => kernel.list,
  })
}

/** A kernel that keeps rows by key and writes down what it was asked for. */
class FakeKernel {
  readonly rows = new Map<string, number>()
  readonly log: string[] = []
  /** Refused. */
  refused: readonly string[] = []
  /** More rows, of keys that {@link rows} has. */
  readonly surplus: Row[] = []

  tryAll(batch: readonly MessageWriter[]): readonly Outcome[] {
    return batch.map(({ operation }) => {
      this.log.push(operation)
      const [verb, key = "", value] = operation.split(" ")
      const error = (number: number) => ({
        answers: [],
        error: new NetlinkError(operation, number),
      })
      if (this.refused.includes(operation)) return error(EBUSY)
      if (verb === "add") this.rows.set(key, Number(value))
      else if (!this.rows.delete(key)) return error(ENOENT)
      return { answers: [], error: undefined }
    })
  }

  get list(): Row[] {
    return [...[...this.rows].map(([key, value]) => ({ key, value })), ...this.surplus]
  }
}

const row = (key: string, value: number): Row => ({ key, value })

describe("KernelTable", () => {
  test("asks for the difference alone, and for nothing twice", () => {
    const kernel = new FakeKernel()
    const table = tableOf(kernel)
    table.desired("a", [row("x", 1), row("y", 1)])
    expect(settle([table])).toEqual(["added row x", "added row y"])
    table.desired("a", [row("x", 1), row("y", 2)])
    expect(settle([table])).toEqual(["changed row y"])
    table.desired("a", [row("y", 2)])
    expect(settle([table])).toEqual(["removed row x"])
    table.desired("a", [row("y", 2)])
    expect(settle([table])).toEqual([])
    expect(kernel.log).toEqual(["add x 1", "add y 1", "add y 2", "remove x"])
  })

  test("a row passes from owner to owner in one step, whoever speaks first", () => {
    const kernel = new FakeKernel()
    const table = tableOf(kernel)
    table.desired("a", [row("x", 1)])
    settle([table])
    table.desired("b", [row("x", 2)])
    settle([table])
    expect(table.ownerOf("x")).toBe("b")
    table.desired("a", [])
    settle([table])
    expect(kernel.log).toEqual(["add x 1", "add x 2"])
    table.desired("c", [row("x", 3)])
    table.desired("b", [])
    settle([table])
    expect(kernel.log.slice(2)).toEqual(["add x 3"])
  })

  test("one who asks again does not take a row back; one who is left has it again", () => {
    const kernel = new FakeKernel()
    const table = tableOf(kernel)
    table.desired("a", [row("x", 1)])
    table.desired("b", [row("x", 2)])
    table.desired("a", [row("x", 1)])
    settle([table])
    expect(kernel.rows.get("x")).toBe(2)
    table.desired("b", [])
    settle([table])
    expect(kernel.rows.get("x")).toBe(1)
  })

  test("what an earlier instance left is taken over, and what nobody wants goes with a sweep", () => {
    const kernel = new FakeKernel()
    kernel.rows.set("x", 1).set("old", 1)
    const table = tableOf(kernel)
    table.load()
    table.desired("a", [row("x", 1)])
    expect(settle([table])).toEqual([])
    table.sweep()
    expect(settle([table])).toEqual(["removed row old"])
  })

  test("of two rows with one key the wrong one goes", () => {
    const kernel = new FakeKernel()
    const table = tableOf(kernel)
    table.desired("a", [row("x", 2)])
    kernel.surplus.push(row("x", 2), row("x", 3))
    kernel.rows.set("x", 1)
    table.load()
    expect(settle([table])).toEqual(["removed row x", "removed row x"])
    expect(kernel.log).toEqual(["remove x", "remove x"])
  })

  test("what was refused is asked for again, and the rest is done all the same", () => {
    const kernel = new FakeKernel()
    const table = tableOf(kernel)
    kernel.refused = ["add x 1"]
    table.desired("a", [row("x", 1), row("y", 1)])
    expect(() => settle([table])).toThrow("Cannot add x 1")
    expect(kernel.rows.get("y")).toBe(1)
    expect(table.complete("a")).toBe(false)
    kernel.refused = []
    expect(settle([table])).toEqual(["added row x"])
    expect(table.complete("a")).toBe(true)
  })

  test("a removal that was refused is asked for again, and all refusals are told as one", () => {
    const kernel = new FakeKernel()
    const table = tableOf(kernel)
    table.desired("a", [row("x", 1), row("y", 1)])
    settle([table])
    kernel.refused = ["remove x", "remove y"]
    table.desired("a", [])
    expect(() => settle([table])).toThrow(/^Cannot remove x.*; and 1 more$/)
    kernel.refused = []
    expect(settle([table])).toEqual(["removed row x", "removed row y"])
  })

  test("all rows go when it is cleared, those of an earlier instance too", () => {
    const kernel = new FakeKernel()
    kernel.rows.set("old", 1)
    const table = tableOf(kernel)
    table.desired("a", [row("x", 1)])
    settle([table])
    table.clear()
    expect(kernel.rows.size).toBe(0)
  })

  test("a row that is gone already counts as removed", () => {
    const kernel = new FakeKernel()
    const table = tableOf(kernel)
    table.desired("a", [row("x", 1)])
    settle([table])
    kernel.rows.clear()
    table.desired("a", [])
    expect(settle([table])).toEqual(["removed row x"])
    expect(settle([table])).toEqual([])
  })

  test("what relies on another table comes after it and goes before it", () => {
    const kernel = new FakeKernel()
    const [first, second] = [tableOf(kernel), tableOf(kernel)]
    first.desired("a", [row("low", 1)])
    second.desired("a", [row("high", 1)])
    settle([first, second])
    first.desired("a", [row("low2", 1)])
    second.desired("a", [row("high2", 1)])
    settle([first, second])
    expect(kernel.log).toEqual([
      ...["add low 1", "add high 1"],
      ...["add low2 1", "add high2 1", "remove high", "remove low"],
    ])
  })

  test("whatever owners ask for in whatever order, the kernel has what the last ones want", () => {
    const rows = fc
      .uniqueArray(fc.tuple(fc.constantFrom("x", "y", "z"), fc.nat(2)), {
        selector: ([key]) => key,
      })
      .map((pairs) => pairs.map(([key, value]) => row(key, value)))
    const step = fc.record({
      owner: fc.constantFrom("a", "b", "c"),
      rows,
      drift: fc.option(fc.constantFrom("x", "y", "z", "w")),
      settled: fc.boolean(),
    })
    fc.assert(
      fc.property(fc.array(step, { maxLength: 12 }), (steps) => {
        const kernel = new FakeKernel()
        const table = tableOf(kernel)
        const model = new Map<string, [string, number][]>()
        for (const { owner, rows: wanted, drift, settled } of steps) {
          if (drift !== null) {
            if (!kernel.rows.delete(drift)) kernel.rows.set(drift, 9)
            table.load()
          }
          table.desired(owner, wanted)
          for (const key of ["x", "y", "z"]) {
            const claims = model.get(key) ?? []
            const mine = wanted.find((entry) => entry.key === key)
            const kept = claims.findIndex(([who]) => who === owner)
            if (mine === undefined) {
              model.set(
                key,
                claims.filter(([who]) => who !== owner),
              )
            } else if (kept < 0) model.set(key, [...claims, [owner, mine.value]])
            else claims[kept] = [owner, mine.value]
          }
          if (settled) settle([table])
        }
        table.load()
        table.sweep()
        settle([table])
        const expected = [...model].flatMap(([key, claims]) => {
          const last = claims.at(-1)
          return last === undefined ? [] : [[key, last[1]] as const]
        })
        expect(kernel.rows).toEqual(new Map(expected))
        table.sweep()
        expect(settle([table])).toEqual([])
      }),
    )
  })
})

import { describe, expect, test } from "bun:test"
import { OwnGenerations } from "./own_generations.ts"

function make(last = 0, former: readonly number[] = []) {
  const reserved: number[] = []
  const given: Uint8Array[] = []
  const source = {
    random: (bytes: number) => {
      const value = new Uint8Array(bytes).fill(given.length + 1)
      given.push(value)
      return value
    },
    reserve: (generation: number) => {
      // Before anything of it exists.
      expect(given).toHaveLength(2 * reserved.length)
      reserved.push(generation)
    },
  }
  const public_ = former.map((generation) => ({
    ...{ generation, publicValue: new Uint8Array(32), nonce: new Uint8Array(32) },
  }))
  return { own: new OwnGenerations(source, last, public_), reserved }
}

const live = (own: OwnGenerations) => own.live.map(({ generation }) => generation)

describe("own generations", () => {
  test("are counted on from what was reserved or announced, and reserved before they are made", () => {
    expect(make().reserved).toEqual([1])
    expect(make(6).reserved).toEqual([7])
    expect(make(6, [8]).reserved).toEqual([9])
    const { own, reserved } = make(6)
    own.exceed(20)
    own.exceed(3)
    expect(own.rotate()).toBe(true)
    expect(reserved).toEqual([7, 21])
  })

  test("are four at most in force, of former ones the newest three", () => {
    const { own } = make(0, [1, 2, 3, 4])
    expect(live(own)).toEqual([2, 3, 4, 5])
    expect(own.rotate()).toBe(false)
    expect(own.former).toBe("live")
    own.withdrawOld()
    expect(live(own)).toEqual([5])
    expect(own.former).toBe("withdrawn")
    for (const generation of [2, 3, 4]) own.drop(generation)
    expect(own.former).toBe("none")
  })

  test("are eight at most in memory while the store takes nothing", () => {
    const { own } = make()
    for (let n = 0; n < 20; n++) {
      while (own.rotate());
      own.withdrawOld()
    }
    expect(own.held).toHaveLength(8)
  })

  test("that are dropped have their private value overwritten", () => {
    const { own } = make()
    const { privateValue } = own.newest
    own.rotate()
    own.drop(1)
    expect(privateValue).toEqual(new Uint8Array(32))
    expect(own.newest.privateValue?.every((byte) => byte === 0)).toBe(false)
  })

  test("that stood at a revision are known, or not sure", () => {
    const { own } = make()
    const at = (revision: number) => own.newestPublishedAt(revision)?.generation
    expect(at(9)).toBeUndefined()
    own.offer(1)
    own.published(own.live, 3, 0)
    own.published(own.live, 4, 0)
    own.rotate()
    expect([at(2), at(3), at(99)]).toEqual([undefined, 1, 1])
    own.offer(5)
    own.published(own.live, 8, 0)
    expect([at(5), at(6), at(7), at(8)]).toEqual([1, undefined, undefined, 2])
    own.forgetRevisions()
    expect(at(99)).toBeUndefined()
  })
})

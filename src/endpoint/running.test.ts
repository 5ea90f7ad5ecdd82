import { expect, test } from "bun:test"
import type { LinkInfo } from "../netlink/route/link_codec.ts"
import { IFF_RUNNING } from "../netlink/route/link_constants.ts"
import { untilRunning } from "./running.ts"

const link = (name: string, runs: boolean) =>
  ({ name, flags: runs ? IFF_RUNNING : 0 }) as unknown as LinkInfo

test("links that run are not asked for again", () => {
  const links = [link("a", true), link("b", true)]
  const again = () => {
    throw new Error("asked again")
  }
  expect(untilRunning(links, again)).toBe(links)
})

test("all of them are waited for", () => {
  let asked = 0
  const links = untilRunning([link("a", false), link("b", false)], () => {
    asked++
    return [link("a", asked >= 3), link("b", asked >= 30)]
  })
  expect([asked, links.every(({ flags }) => flags === IFF_RUNNING)]).toEqual([30, true])
})

test("one that never runs is not waited for without end", () => {
  let asked = 0
  const last = untilRunning([link("a", false)], () => {
    asked++
    return [link("a", false)]
  })
  expect([asked, last]).toEqual([120, [link("a", false)]])
})

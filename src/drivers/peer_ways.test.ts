import { expect, test } from "bun:test"
import { wayTrouble } from "./peer_ways.ts"

test("a peer is reached by a route that does not lead back into its network", () => {
  expect(wayTrouble({ index: 2 }, 7)).toBeUndefined()
  expect(wayTrouble({ index: 7 }, 7)).toBe("the route to its address leads into the network")
  expect(wayTrouble({ index: undefined }, 7)).toBe("this host has no route to its address")
  expect(wayTrouble(undefined, 7)).toBe("this host has no route to its address")
})

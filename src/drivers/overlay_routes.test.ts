import { expect, test } from "bun:test"
import type { MessageWriter } from "../netlink/message.ts"
import type { NetlinkSocket } from "../netlink/socket.ts"
import { settle } from "./kernel_table.ts"
import { OverlayRoutes } from "./overlay_routes.ts"

/** Routes of a kernel that is asked in vain; the tests in test/netns ask a real one. */
function fixture() {
  const asked: string[] = []
  const socket = {
    tryAll: (batch: readonly MessageWriter[]) => {
      asked.push(...batch.map(({ operation }) => operation))
      return batch.map(() => ({ answers: [], error: undefined }))
    },
  }
  const subnets = ["10.42.0.0/16", "fd00:42::/48"]
  const routes = new OverlayRoutes(socket as unknown as NetlinkSocket, subnets)
  return { routes, asked }
}

test("the fallback stands before any peer does", () => {
  const { routes, asked } = fixture()
  settle([routes.table])
  expect(asked).toEqual(["add route 10.42.0.0/16", "add route fd00:42::/48"])
})

test("prefixes outside the network are left out: no host can take the default route", () => {
  const { routes, asked } = fixture()
  const blocks = ["0.0.0.0/0", "10.0.0.0/8", "10.43.0.0/24", "10.42.7.0/24", "::/0", "nonsense"]
  routes.desired(
    "b",
    blocks.map((dst) => ({ index: 7, via: "10.42.7.1", dst })),
  )
  settle([routes.table])
  expect(asked.slice(2)).toEqual(["add route 10.42.7.0/24 via 10.42.7.1 on link 7"])
})

test("contains whole prefixes of the subnets alone", () => {
  const { routes } = fixture()
  expect(routes.contains("10.42.255.0/24")).toBe(true)
  expect(routes.contains("10.42.0.0/16")).toBe(true)
  expect(routes.contains("10.42.0.0/15")).toBe(false)
  expect(routes.contains("fd00:42:0:7::/64")).toBe(true)
  expect(routes.contains("fd00:43::/64")).toBe(false)
  expect(routes.contains("10.42.7.1")).toBe(false)
})

import { afterAll, beforeAll, describe, expect, test } from "bun:test"
import { NETLINK_ROUTE } from "../netlink/constants.ts"
import { NetlinkSocket } from "../netlink/socket.ts"
import { OverlayRoutes } from "./overlay_routes.ts"

let socket: NetlinkSocket

beforeAll(() => {
  socket = NetlinkSocket.open(NETLINK_ROUTE)
})
afterAll(() => socket.close())

const routes = () => new OverlayRoutes(socket, ["10.42.0.0/16", "fd00:42::/48"])

/** What would be asked of the kernel; the tests in test/netns ask it. */
const asked = (from: OverlayRoutes) =>
  from.table.additions().map(({ message }) => message.operation)

describe("OverlayRoutes", () => {
  test("the fallback stands before any peer does", () => {
    expect(asked(routes())).toEqual(["add route 10.42.0.0/16", "add route fd00:42::/48"])
  })

  test("prefixes outside the network are refused: no host can take the default route", () => {
    const own = routes()
    const hop = { index: 7, via: "10.42.7.1" }
    const blocks = ["0.0.0.0/0", "10.0.0.0/8", "10.43.0.0/24", "10.42.7.0/24", "::/0", "nonsense"]
    const refused = own.desired(
      "b",
      blocks.map((dst) => ({ ...hop, dst })),
    )
    expect(refused).toEqual(blocks.filter((dst) => dst !== "10.42.7.0/24"))
    expect(asked(own).slice(2)).toEqual(["add route 10.42.7.0/24 via 10.42.7.1 on link 7"])
  })

  test("contains whole prefixes of the subnets alone", () => {
    const own = routes()
    expect(own.contains("10.42.255.0/24")).toBe(true)
    expect(own.contains("10.42.0.0/16")).toBe(true)
    expect(own.contains("10.42.0.0/15")).toBe(false)
    expect(own.contains("fd00:42:0:7::/64")).toBe(true)
    expect(own.contains("fd00:43::/64")).toBe(false)
    expect(own.contains("10.42.7.1")).toBe(false)
  })
})

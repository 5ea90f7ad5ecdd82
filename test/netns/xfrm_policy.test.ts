/** Policies in this machine's kernel, which has them even where it has no ESP. */
import { afterAll, beforeAll, beforeEach, describe, expect, test } from "bun:test"
import { basePolicies, ifIdOf, peerPolicies, reqidOf } from "../../src/drivers/ipsec/policies.ts"
import { NETLINK_XFRM } from "../../src/netlink/constants.ts"
import { NetlinkSocket } from "../../src/netlink/socket.ts"
import {
  deletePolicy,
  listPolicies,
  newPolicy,
  type Policy,
  replacePolicy,
} from "../../src/netlink/xfrm/policy.ts"
import { EEXIST, ENOENT } from "../../src/sys/ffi/errno.ts"
import { createNetns, type Netns, withNetns } from "../../src/sys/netns/netns.ts"
import { requireTestNetns } from "./guard.ts"

const SUBNETS = ["10.42.0.0/16", "fd00:42::/64"]
const TUNNEL = {
  reqid: reqidOf(3, 2),
  local: "2001:db8::1",
  remote: "2001:db8::2",
  spi: 0x10203,
  prefixes: ["10.42.2.0/24", "fd00:42::2:0/112"],
}

let netns: Netns
let socket: NetlinkSocket
beforeAll(() => {
  requireTestNetns()
  netns = createNetns()
  socket = withNetns(netns, () => NetlinkSocket.open(NETLINK_XFRM))
})
afterAll(() => {
  socket?.close()
  netns?.close()
})
beforeEach(() => {
  for (const policy of listPolicies(socket)) socket.request(deletePolicy(policy))
  expect(listPolicies(socket)).toEqual([])
})

const sorted = (policies: readonly Policy[]) =>
  policies.map((policy) => JSON.stringify({ ...policy, ifId: policy.ifId ?? 0 }, order)).sort()
function order(_key: string, value: unknown): unknown {
  if (typeof value !== "object" || value === null) return value
  return Object.fromEntries(Object.entries(value).sort(([a], [b]) => (a < b ? -1 : 1)))
}

describe.each([ifIdOf(3), undefined])("policies of interface %p", (ifId) => {
  const all = [
    ...basePolicies(SUBNETS, ["10.42.1.0/24", "10.42.1.254/32", "fd00:42::1:0/112"], ifId),
    ...peerPolicies(TUNNEL, SUBNETS, ifId),
  ]

  test("come back as they were made, and are replaced in one step", () => {
    for (const policy of all) socket.request(replacePolicy(policy))
    expect(sorted(listPolicies(socket))).toEqual(sorted(all))
    const next = [
      ...all.slice(0, -peerPolicies(TUNNEL, SUBNETS, ifId).length),
      ...peerPolicies({ ...TUNNEL, spi: undefined }, SUBNETS, ifId),
    ]
    for (const policy of next) socket.request(replacePolicy(policy))
    expect(sorted(listPolicies(socket))).toEqual(sorted(next))
  })
})

test("what is there is not made a second time, and what is not is not deleted", () => {
  const [policy] = peerPolicies(TUNNEL, SUBNETS, ifIdOf(3))
  if (policy === undefined) throw new Error("no policy")
  const errnoOf = (message: ReturnType<typeof newPolicy>) =>
    socket.tryAll([message])[0]?.error?.errno
  expect(errnoOf(newPolicy(policy))).toBeUndefined()
  expect(errnoOf(newPolicy(policy))).toBe(EEXIST)
  // That of another interface, or of none, is another one.
  expect(errnoOf(deletePolicy({ ...policy, ifId: ifIdOf(4) }))).toBe(ENOENT)
  expect(errnoOf(deletePolicy({ ...policy, ifId: undefined }))).toBe(ENOENT)
  expect(errnoOf(deletePolicy(policy))).toBeUndefined()
  expect(errnoOf(deletePolicy(policy))).toBe(ENOENT)
})

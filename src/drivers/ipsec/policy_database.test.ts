import { beforeEach, expect, test } from "bun:test"
import { type Message, type MessageWriter, parseMessages } from "../../netlink/message.ts"
import * as x from "../../netlink/xfrm/constants.ts"
import { decodePolicy, newPolicy } from "../../netlink/xfrm/policy.ts"
import { settle } from "../kernel_table.ts"
import { ifIdOf, type PeerTunnel, reqidOf } from "./policies.ts"
import { PolicyDatabase } from "./policy_database.ts"

const NETWORK = 3
const IF_ID = ifIdOf(NETWORK)
const SUBNETS = ["10.42.0.0/16"]
const TUNNEL: PeerTunnel = {
  reqid: reqidOf(NETWORK, 2),
  local: "192.0.2.1",
  remote: "192.0.2.2",
  spi: 0x10203,
  prefixes: ["10.42.2.0/24"],
}

/** A kernel that has policies by direction and selector. */
class FakeKernel {
  readonly rows = new Map<string, Message>()

  tryAll(batch: readonly MessageWriter[]) {
    return batch.map((writer) => {
      const [message] = parseMessages(writer.finish(1).slice())
      if (message === undefined) throw new Error("no message")
      const name = writer.operation.slice(writer.operation.indexOf("policy "))
      if (message.type === x.XFRM_MSG_DELPOLICY) this.rows.delete(name)
      else this.rows.set(name, { ...message, type: x.XFRM_MSG_NEWPOLICY })
      return { answers: [], error: undefined }
    })
  }

  dump(): Message[] {
    return [...this.rows.values()]
  }

  /** What is done with packets to and from a prefix. */
  get out(): unknown[] {
    return this.dump()
      .flatMap((message) => decodePolicy(message) ?? [])
      .filter(({ direction }) => direction === "out")
      .map(({ destination, action }) => [
        destination,
        typeof action === "string" ? action : action.spi,
      ])
  }
}

let kernel: FakeKernel
const begin = () =>
  new PolicyDatabase(kernel, {
    network: NETWORK,
    subnets: SUBNETS,
    ifId: IF_ID,
    contains: (prefix) => prefix.startsWith("10.42."),
  })
beforeEach(() => {
  kernel = new FakeKernel()
})

test("what blocks clear text stands before any peer, and a peer without keys is blocked", () => {
  const policies = begin()
  policies.wantBase([])
  settle([policies.table])
  expect(kernel.out).toEqual([["10.42.0.0/16", "block"]])
  policies.desired("b", { ...TUNNEL, spi: undefined })
  expect(policies.table.complete("b")).toBe(false)
  settle([policies.table])
  expect(policies.table.complete("b")).toBe(true)
  expect(kernel.out).toContainEqual(["10.42.2.0/24", "block"])
  policies.desired("b", TUNNEL)
  expect(settle([policies.table])).toEqual(["changed policy out 0.0.0.0/0 to 10.42.2.0/24"])
  expect(kernel.out).toContainEqual(["10.42.2.0/24", TUNNEL.spi])
  policies.desired("b", undefined)
  settle([policies.table])
  expect(kernel.out).toEqual([["10.42.0.0/16", "block"]])
})

test("the next instance finds what was sent on, until it is of no use", () => {
  const first = begin()
  first.desired("b", TUNNEL)
  settle([first.table])
  const next = begin()
  expect(next.foundSpi(TUNNEL.reqid)).toBeUndefined()
  next.table.load()
  expect(next.foundSpi(TUNNEL.reqid)).toBe(TUNNEL.spi ?? 0)
  next.desired("b", TUNNEL)
  expect(settle([next.table])).toEqual([])
  next.forgetSpi(TUNNEL.reqid)
  expect(next.foundSpi(TUNNEL.reqid)).toBeUndefined()
})

test("another's policies are left alone, when it sweeps and when it goes", () => {
  const other = newPolicy({
    source: "0.0.0.0/0",
    destination: "10.42.9.0/24",
    direction: "out",
    priority: 7,
    action: "block",
    ifId: 7,
  })
  kernel.tryAll([other])
  const before = begin()
  before.desired("gone", TUNNEL)
  settle([before.table])
  const policies = begin()
  policies.table.load()
  policies.wantBase([])
  policies.table.sweep()
  settle([policies.table])
  expect(kernel.out).toEqual([
    ["10.42.9.0/24", "block"],
    ["10.42.0.0/16", "block"],
  ])
  policies.table.clear()
  expect(kernel.out).toEqual([["10.42.9.0/24", "block"]])
})

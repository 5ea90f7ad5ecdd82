/** The netlink socket against a real kernel: errors, batches, dumps, losses, namespaces. */
import { afterAll, afterEach, beforeEach, describe, expect, test } from "bun:test"
import { spawn } from "node:child_process"
import * as c from "../../src/netlink/constants.ts"
import { NetlinkError } from "../../src/netlink/error.ts"
import { MessageWriter, parseMessages } from "../../src/netlink/message.ts"
import { listAddresses, newAddress } from "../../src/netlink/route/addr.ts"
import * as link from "../../src/netlink/route/link.ts"
import { deleteNeigh, listNeighs, newNeigh } from "../../src/netlink/route/neigh.ts"
import { netnsIdOf } from "../../src/netlink/route/nsid.ts"
import { deleteRoute, listRoutes, newRoute, routeTo } from "../../src/netlink/route/route.ts"
import { NetlinkSocket } from "../../src/netlink/socket.ts"
import { libc } from "../../src/sys/ffi/libc.ts"
import { createNetns, withNetns } from "../../src/sys/netns/netns.ts"
import { ip, requireTestNetns } from "./guard.ts"

requireTestNetns()

// Everything happens in a namespace that dies with its descriptor.
const netns = createNetns()
let socket: NetlinkSocket

beforeEach(() => {
  socket = withNetns(netns, () => NetlinkSocket.open(c.NETLINK_ROUTE))
})
afterEach(() => {
  for (const { index, name } of link.listLinks(socket)) {
    if (name !== "lo") socket.tryAll([link.deleteLink(index)])
  }
  socket.close()
})
afterAll(() => netns.close())

function bridge(name: string): number {
  socket.requestAll([link.newBridge({ name, up: true })])
  return link.getLink(socket, name)?.index ?? 0
}

function refusal(action: () => unknown): NetlinkError {
  try {
    action()
  } catch (error) {
    if (error instanceof NetlinkError) return error
    throw error
  }
  throw new Error("nothing was refused")
}

describe("requests", () => {
  test("a refusal says what was asked, why, and in the kernel's words", () => {
    bridge("b0")
    const taken = refusal(() => socket.request(link.newBridge({ name: "b0" })))
    expect(taken).toMatchObject({ errnoName: "EEXIST", code: "kernel" })
    expect(taken.message).toBe("Cannot create bridge b0: File exists (EEXIST)")
    const small = refusal(() => socket.request(link.changeLink("b0", { mtu: 20 })))
    expect(small.extAck).toBe("mtu less than device minimum")
    expect(small.message).toBe("Cannot change link b0: mtu less than device minimum (EINVAL)")
    const kind = refusal(() => socket.request(link.newLink("nosuchkind", { name: "x0" })))
    expect(kind).toMatchObject({ code: "kernel-unsupported", extAck: "Unknown device type" })
  })

  test("each message of a batch has its own outcome", () => {
    const batch = ["b0", "b1", "b0", "b2"].map((name) => link.newBridge({ name }))
    const outcomes = socket.tryAll(batch)
    expect(outcomes.map(({ error }) => error?.errnoName)).toEqual([
      undefined,
      undefined,
      "EEXIST",
      undefined,
    ])
    expect(refusal(() => socket.requestAll(batch)).operation).toBe("create bridge b0")
  })

  test("answers go to the message that asked", () => {
    bridge("b0")
    const [a, b] = socket.requestAll([link.queryLink("lo"), link.queryLink("b0")])
    expect(a?.length).toBe(1)
    expect(b?.length).toBe(1)
    expect(a?.[0]?.seq).not.toBe(b?.[0]?.seq)
  })

  test("a batch whose acknowledgements exceed the usual buffer", () => {
    const outcomes = socket.tryAll(Array.from({ length: 3000 }, () => link.queryLink("lo")))
    expect(outcomes.filter(({ answers }) => answers.length === 1).length).toBe(3000)
  })

  test("the socket is good after a refusal and after a malformed request", () => {
    for (let i = 0; i < 50; i++) {
      refusal(() => socket.request(link.queryLink(99_999)))
      refusal(() => socket.request(new MessageWriter(c.RTM_NEWLINK).u8(1)))
      expect(link.getLink(socket, "lo")?.name).toBe("lo")
    }
  })

  test("stays bound to the namespace it was opened in", () => {
    bridge("inside0")
    expect(link.getLink(socket, "inside0")).toBeDefined()
    expect(ip("link")).not.toContain("inside0")
  })
})

describe("dumps", () => {
  test("links, by master and by kind", () => {
    const master = bridge("b0")
    socket.requestAll([
      link.newVeth({ name: "v0", master, group: 77, peer: { name: "v1" } }),
      link.newVeth({ name: "v2", peer: { name: "v3" } }),
    ])
    const names = (filter?: link.LinkFilter) =>
      link.listLinks(socket, filter).map(({ name }) => name)
    expect(names().sort()).toEqual(["b0", "lo", "v0", "v1", "v2", "v3"])
    expect(names({ master })).toEqual(["v0"])
    expect(names({ kind: "bridge" })).toEqual(["b0"])
    expect(names({ group: 77 })).toEqual(["v0"])
  })

  test("addresses, of one link and of all", () => {
    const index = bridge("b0")
    socket.requestAll([newAddress(index, "10.1.0.1/24"), newAddress(index, "fd00::1/64")])
    const found = listAddresses(socket, index).map(({ address }) => address)
    expect(found).toEqual(expect.arrayContaining(["10.1.0.1/24", "fd00::1/64"]))
    expect(listAddresses(socket).length).toBeGreaterThanOrEqual(found.length)
  })

  test("a link that is gone has no addresses and no neighbours", () => {
    expect(listAddresses(socket, 99_999)).toEqual([])
    expect(listNeighs(socket, 99_999)).toEqual([])
  })

  test("a long list, in many datagrams", () => {
    const index = bridge("b0")
    const addresses = Array.from({ length: 1000 }, (_, i) => `10.9.${i >> 8}.${i & 255}/32`)
    socket.requestAll(addresses.map((address) => newAddress(index, address)))
    const found = listAddresses(socket, index).map(({ address }) => address)
    expect(found.filter((address) => address.startsWith("10.9."))).toEqual(addresses)
  })

  test("a list amid changes holds all that stays, or says that it kept changing", async () => {
    const index = bridge("b0")
    const stable = Array.from({ length: 500 }, (_, i) => `10.9.${i >> 8}.${i & 255}/32`)
    socket.requestAll(stable.map((address) => newAddress(index, address)))
    const { listener, churn } = withNetns(netns, () => ({
      listener: NetlinkSocket.open(c.NETLINK_ROUTE, { groups: [c.RTNLGRP_IPV4_IFADDR] }),
      churn: spawn("ip", ["-batch", "-"], { stdio: ["pipe", "ignore", "ignore"] }),
    }))
    const ended = new Promise((resolve) => churn.on("close", resolve))
    const changes = "addr add 10.8.0.1/32 dev b0\naddr del 10.8.0.1/32 dev b0\n".repeat(5000)
    // It is killed before it has read everything.
    churn.stdin.on("error", () => undefined).end(changes)
    while (listener.receive() === undefined) await Bun.sleep(1)
    let whole = 0
    for (let i = 0; i < 200; i++) {
      try {
        const found = new Set(listAddresses(socket, index).map(({ address }) => address))
        expect(stable.filter((address) => !found.has(address))).toEqual([])
        whole++
      } catch (error) {
        if (!(error instanceof NetlinkError)) throw error
        expect(error.message).toContain("NLM_F_DUMP_INTR")
      }
    }
    expect(whole).toBeGreaterThan(0)
    churn.kill("SIGKILL")
    await ended
    listener.close()
  })

  test("a refused dump leaves the socket good", () => {
    const bad = new MessageWriter(c.RTM_GETADDR, 0, { operation: "list what is not" })
    bad.zeros(4).i32(99_999)
    expect(refusal(() => socket.dump(bad)).errnoName).toBe("ENODEV")
    expect(link.listLinks(socket).length).toBeGreaterThan(0)
  })
})

describe("notifications", () => {
  test("a lost one is an error that names ENOBUFS, and the socket goes on", () => {
    const index = bridge("b0")
    const groups = [c.RTNLGRP_LINK]
    const listener = withNetns(netns, () => NetlinkSocket.open(c.NETLINK_ROUTE, { groups }))
    // 4 kB: a handful of notifications.
    const small = new Uint8Array(Uint32Array.of(4096).buffer)
    libc.setsockopt(listener.fd, c.SOL_SOCKET, c.SO_RCVBUFFORCE, small, 4)
    expect(listener.receive()).toBeUndefined()
    socket.requestAll(
      Array.from({ length: 100 }, (_, i) => link.changeLink(index, { mtu: 1000 + i })),
    )
    const drain = () => {
      while (listener.receive() !== undefined);
    }
    expect(refusal(drain).errnoName).toBe("ENOBUFS")
    drain()
    socket.request(link.changeLink(index, { mtu: 1400 }))
    const bytes = listener.receive() ?? new Uint8Array(0)
    expect(parseMessages(bytes)[0]?.type).toBe(c.RTM_NEWLINK)
    listener.close()
  })
})

describe("routes, neighbours, namespaces", () => {
  test("routes come, are found and go", () => {
    const index = bridge("b0")
    socket.requestAll([
      newAddress(index, "10.1.0.1/24"),
      newRoute({ dst: "10.5.0.0/16", gateway: "10.1.0.9", index, mtu: 1300, priority: 5 }),
      newRoute({ dst: "10.6.0.0/16", index, table: 1000 }),
      newRoute({ dst: "192.0.2.0/24", type: c.RTN_UNREACHABLE }),
    ])
    const found = listRoutes(socket, { index })
    expect(found).toContainEqual(
      expect.objectContaining({ dst: "10.5.0.0/16", gateway: "10.1.0.9", mtu: 1300, priority: 5 }),
    )
    expect(listRoutes(socket, { table: 1000 }).map(({ dst }) => dst)).toEqual(["10.6.0.0/16"])
    expect(routeTo(socket, "10.5.1.1")).toMatchObject({ gateway: "10.1.0.9", index })
    expect(routeTo(socket, "192.0.2.1")).toBeUndefined()
    expect(routeTo(socket, "203.0.113.1")).toBeUndefined()
    socket.request(deleteRoute({ dst: "10.5.0.0/16", index }))
    expect(routeTo(socket, "10.5.1.1")).toBeUndefined()
    expect(
      refusal(() => socket.request(deleteRoute({ dst: "10.5.0.0/16", index }))).errnoName,
    ).toBe("ESRCH")
  })

  test("neighbours come, are found and go", () => {
    const index = bridge("b0")
    socket.request(newNeigh(index, "10.1.0.9", "02:00:00:00:00:09"))
    expect(listNeighs(socket, index)).toContainEqual(
      expect.objectContaining({ address: "10.1.0.9", mac: "02:00:00:00:00:09" }),
    )
    socket.request(deleteNeigh(index, "10.1.0.9"))
    expect(listNeighs(socket, index).map(({ address }) => address)).not.toContain("10.1.0.9")
  })

  test("the number of a namespace is known where a veth leads there", () => {
    const other = createNetns()
    expect(netnsIdOf(socket, other.fd)).toBeUndefined()
    const peer = { name: "eth0", netnsFd: other.fd }
    socket.request(link.newVeth({ name: "v0", peer }))
    const id = netnsIdOf(socket, other.fd)
    expect(id).toBeDefined()
    expect(link.getLink(socket, "v0")?.linkNetnsId).toBe(id)
    other.close()
  })
})

test("another thread sends a request, and the answer is heard of once it is there", async () => {
  const index = bridge("b0")
  const over = async (isOver: () => boolean) => {
    while (!isOver()) await Bun.sleep(1)
  }
  await over(socket.requestElsewhere(link.deleteLink(index)))
  expect(link.getLink(socket, "b0")).toBeUndefined()
  const again = socket.requestElsewhere(link.deleteLink(index))
  await expect(over(again)).rejects.toMatchObject({ errnoName: "ENODEV" })
})

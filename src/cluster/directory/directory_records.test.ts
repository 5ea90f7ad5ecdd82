import { describe, expect, test } from "bun:test"
import { fixture, keys } from "../../../test/cluster_model/directory_fixture.ts"
import type { TestHost } from "../../../test/cluster_model/test_host.ts"

const A = "10.42.1.0/24"

describe("containers", () => {
  test("come back with the block that their host lost for a time", () => {
    const { observer, h1, tell } = fixture()
    tell(
      ...h1.join(),
      h1.claimWrite(A),
      h1.endpointWrite("10.42.1.7"),
      h1.endpointWrite("10.42.1.8"),
    )
    observer.take()
    tell(h1.claimWrite(A, "released"))
    expect(observer.take()).toEqual(["removed h1 10.42.1.7", "removed h1 10.42.1.8", "host h1"])
    tell({ key: keys.endpoint("n", "10.42.1.8"), value: undefined })
    tell(h1.claimWrite(A))
    expect(observer.take()).toEqual(["put h1 10.42.1.7", "host h1"])
  })

  test("with two addresses are one, and gone when both are", () => {
    const { observer, h1, tell } = fixture()
    const six = "fd00:42::/112"
    tell(...h1.join(), h1.claimWrite(A), h1.claimWrite(six))
    const both = { uuid: "u1", addresses: ["10.42.1.7", "fd00:42::7"] }
    tell(h1.endpointWrite("10.42.1.7", both), h1.endpointWrite("fd00:42::7", both))
    observer.take()
    tell({ key: keys.endpoint("n", "10.42.1.7"), value: undefined })
    expect(observer.take()).toEqual([])
    tell({ key: keys.endpoint("n", "fd00:42::7"), value: undefined })
    expect(observer.take()).toEqual(["removed h1 10.42.1.7,fd00:42::7"])
  })

  test("that take over an address end the one before", () => {
    const { observer, h1, tell } = fixture()
    tell(...h1.join(), h1.claimWrite(A), h1.endpointWrite("10.42.1.7", { uuid: "u1" }))
    observer.take()
    tell(h1.endpointWrite("10.42.1.7", { uuid: "u2" }))
    expect(observer.take()).toEqual(["removed h1 10.42.1.7", "put h1 10.42.1.7"])
    expect([...observer.containers.keys()]).toEqual(["n u2"])
  })

  test("that came and went between two looks are not told of", () => {
    const { observer, store, h1, tell } = fixture()
    tell(...h1.join(), h1.claimWrite(A))
    observer.take()
    store.write([h1.endpointWrite("10.42.1.7")])
    store.write([{ key: keys.endpoint("n", "10.42.1.7"), value: undefined }])
    store.deliver()
    expect(observer.take()).toEqual([])
  })

  test("of this host are its own business: it is told which stand there", () => {
    const { observer, tell } = fixture()
    tell(observer.self.endpointWrite("10.42.9.1"))
    expect(observer.take()).toEqual(["own endpoints/n/10.42.9.1"])
    expect(observer.containers.size).toBe(0)
  })
})

describe("keys", () => {
  const announce = (host: TestHost, body: unknown) => {
    const key = keys.keys(host.id)
    return { key, value: host.sign("keys", key, body) }
  }

  test("are passed on verified, this host's own too, and again when asked for", () => {
    const { observer, directory, store, h1, tell } = fixture()
    tell(...h1.join())
    observer.take()
    tell(announce(h1, { x: 1 }), announce(observer.self, { y: 1 }))
    const said = [`keys h1 {"x":1} 2`, `keys me {"y":1} 2`]
    expect(observer.take()).toEqual(said)
    store.compact()
    store.deliver()
    expect(observer.take()).toEqual([])
    directory.retellKeys()
    store.compact()
    store.deliver()
    expect(observer.take()).toEqual(said)
    tell({ key: keys.keys("h1"), value: undefined })
    expect(observer.take()).toEqual(["keys h1 undefined 3"])
  })

  test("that vanish while all are to be told again are told to be gone", () => {
    const { observer, directory, store, h1, tell } = fixture()
    tell(...h1.join(), announce(h1, 1))
    observer.take()
    directory.retellKeys()
    store.write([{ key: keys.keys("h1"), value: undefined }])
    store.compact()
    store.deliver()
    expect(observer.take()).toEqual(["keys h1 undefined 2"])
  })

  test("that the ring refuses are looked at again when something of their host changes", () => {
    const { observer, h1, tell, pass } = fixture()
    tell(...h1.join())
    observer.refuseKeys = "generation"
    observer.take()
    tell(announce(h1, 1))
    expect(observer.take()).toEqual(["refused h1"])
    expect(observer.takeRefused()).toEqual(["keys generation h1"])
    pass(1)
    expect(observer.take()).toEqual([])
    observer.refuseKeys = undefined
    tell(h1.recordWrite())
    expect(observer.take()).toEqual(["keys h1 1 2", "host h1"])
  })
})

import { describe, expect, test } from "bun:test"
import { fixture, keys } from "../../../test/cluster_model/directory_fixture.ts"

const A = "10.42.1.0/24"
const B = "10.42.2.0/24"

describe("a store that is put back", () => {
  test("is told; records of then do not count, and are no attack", () => {
    const { observer, directory, store, h1, tell } = fixture()
    tell(...h1.join(), h1.claimWrite(A))
    const image = store.image()
    tell(h1.recordWrite({ name: "later" }), h1.claimWrite(B), h1.endpointWrite("10.42.1.7"))
    observer.take()
    store.putBack(image)
    store.deliver()
    expect(observer.take()).toEqual(["put back", "removed h1 10.42.1.7"])
    expect(observer.refused).toEqual([])
    expect(directory.peer("n", "h1")).toMatchObject({ name: "later", blocks: [A, B] })
    tell(h1.claimWrite(B), h1.endpointWrite("10.42.1.7"))
    expect(observer.take()).toEqual(["put h1 10.42.1.7"])
  })

  test("is told though its revisions have passed those of before", () => {
    const { store, observer, directory, h1, tell } = fixture()
    tell(...h1.join())
    const image = store.image()
    tell(h1.recordWrite({ name: "later" }))
    const { revision } = store
    observer.take()
    directory.snapshot(store.listing(keys.prefix))
    expect(observer.take()).toEqual([])
    store.putBack(image)
    for (const value of ["1", "2", "3"]) store.write([{ key: "/other", value }])
    expect(store.revision).toBeGreaterThan(revision)
    store.deliver()
    expect(observer.take()[0]).toBe("put back")
  })

  test("may give a revision to another value than before", () => {
    const { observer, store, h1, tell } = fixture()
    tell(...h1.join(), h1.claimWrite(A))
    const image = store.image()
    tell(h1.endpointWrite("10.42.1.7", { uuid: "u1" }))
    tell(h1.endpointWrite("10.42.1.8", { uuid: "u2" }))
    const { revision } = store
    store.putBack(image)
    store.write([h1.endpointWrite("10.42.1.7", { uuid: "u3" })])
    expect(store.revision).toBeLessThan(revision)
    store.deliver()
    expect([...observer.containers.keys()]).toEqual(["n u3"])
  })
})

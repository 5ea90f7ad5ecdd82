/** What both stores must do alike: the cases are run against each of them. */
import { afterAll, beforeAll, describe, expect, test } from "bun:test"
import { MAX_VALUE_BYTES, type Store, TOO_LONG } from "../../src/cluster/store/store.ts"
import { waitFor } from "../clients/program.ts"
import { Ear, errorOf } from "./ear.ts"

/**
 * Registers the cases.
 *
 * @param open another handle on the same data; the first call begins with none
 */
export function storeContract(name: string, open: () => Promise<Store>): void {
  describe(name, () => {
    let store: Store
    beforeAll(async () => {
      store = await open()
    })
    afterAll(() => store?.close())

    const put = (key: string, value: string) => store.commit([], [{ key, value }])

    test("a key that is not there is undefined", async () => {
      expect(await store.get("/get/none")).toBeUndefined()
    })

    test("what was written is read, with the revision of the commit", async () => {
      const { committed, revision } = await put("/get/a", "one")
      expect(committed).toBe(true)
      expect(await store.get("/get/a")).toEqual({ key: "/get/a", value: "one", revision })
    })

    test("revisions grow with every write, and are the same for all writes of a commit", async () => {
      const first = await put("/rev/a", "1")
      const second = await store.commit(
        [],
        [
          { key: "/rev/b", value: "2" },
          { key: "/rev/a", value: "2" },
        ],
      )
      expect(second.revision).toBeGreaterThan(first.revision)
      const { entries } = await store.list("/rev/")
      expect(entries.map((entry) => entry.revision)).toEqual([second.revision, second.revision])
    })

    test("a commit that changes nothing has no revision of its own", async () => {
      const before = await put("/none/a", "1")
      expect(await store.commit([], [])).toEqual({ committed: true, revision: before.revision })
      expect(await store.commit([], [{ key: "/none/b", value: undefined }])).toEqual({
        committed: true,
        revision: before.revision,
      })
      const same = await put("/none/a", "1")
      expect(same.revision).toBe(before.revision + 1)
    })

    test("creating succeeds once", async () => {
      const create = () =>
        store.commit([{ key: "/create/a", revision: 0 }], [{ key: "/create/a", value: "x" }])
      const first = await create()
      const second = await create()
      expect([first.committed, second.committed]).toEqual([true, false])
      expect(second.revision).toBe(first.revision)
    })

    test("a value is replaced only while it is the expected one", async () => {
      const { revision } = await put("/swap/a", "1")
      const swap = (value: string) =>
        store.commit([{ key: "/swap/a", revision }], [{ key: "/swap/a", value }])
      expect((await swap("2")).committed).toBe(true)
      expect((await swap("3")).committed).toBe(false)
      expect((await store.get("/swap/a"))?.value).toBe("2")
    })

    test("a deletion is conditional too, and the key can be created again", async () => {
      const { revision } = await put("/delete/a", "1")
      const remove = (at: number) =>
        store.commit([{ key: "/delete/a", revision: at }], [{ key: "/delete/a", value: undefined }])
      expect((await remove(revision - 1)).committed).toBe(false)
      expect((await remove(revision)).committed).toBe(true)
      expect(await store.get("/delete/a")).toBeUndefined()
      const again = await store.commit(
        [{ key: "/delete/a", revision: 0 }],
        [{ key: "/delete/a", value: "2" }],
      )
      expect(again.committed).toBe(true)
    })

    test("one condition that does not hold undoes all writes", async () => {
      const { revision } = await put("/all/a", "1")
      const commit = await store.commit(
        [
          { key: "/all/a", revision },
          { key: "/all/b", revision: 5 },
        ],
        [
          { key: "/all/a", value: "2" },
          { key: "/all/b", value: "2" },
        ],
      )
      expect(commit.committed).toBe(false)
      const { entries } = await store.list("/all/")
      expect(entries.map(({ key, value }) => [key, value])).toEqual([["/all/a", "1"]])
    })

    test("conditions alone can be asked", async () => {
      const { revision } = await put("/ask/a", "1")
      expect(await store.commit([{ key: "/ask/a", revision }], [])).toEqual({
        committed: true,
        revision,
      })
    })

    test("a listing has what begins with the prefix, in the order of the bytes", async () => {
      const keys = ["/list/a", "/list/a0", "/list/ab", "/list/b", "/list/é", "/list/\u{1f600}"]
      for (const key of [...keys].reverse()) await put(key, key)
      await put("/lisu", "outside")
      await put("/list", "outside")
      const { entries, revision } = await store.list("/list/")
      expect(entries.map(({ key }) => key)).toEqual(keys)
      expect(entries.map(({ value }) => value)).toEqual(keys)
      expect(revision).toBeGreaterThanOrEqual(Math.max(...entries.map((entry) => entry.revision)))
      expect((await store.list("/list/a")).entries.map(({ key }) => key)).toEqual(keys.slice(0, 3))
      expect((await store.list("/list/nothing")).entries).toEqual([])
    })

    test("the empty prefix lists everything", async () => {
      await put("everything", "1")
      const { entries } = await store.list("")
      expect(entries.map(({ key }) => key)).toContain("everything")
      expect(entries.map(({ key }) => key)).toContain("/get/a")
    })

    test("values are any text", async () => {
      const texts = ["", " ", '{"a":[1,null]}', "\uFEFFé\n\t\u{1f600}", "x".repeat(MAX_VALUE_BYTES)]
      for (const [index, text] of texts.entries()) {
        await put(`/text/${index}`, text)
        expect((await store.get(`/text/${index}`))?.value).toBe(text)
      }
    })

    test("a value that is longer than ours is told of, and not kept", async () => {
      await put("/long", "é".repeat(300_000))
      expect((await store.get("/long"))?.value).toBe(TOO_LONG)
      expect((await store.list("/long")).entries.map(({ value }) => value)).toEqual([TOO_LONG])
    })

    test("what no store takes is refused before it is sent", async () => {
      const many = Array.from({ length: 129 }, (_, n) => ({ key: `/many/${n}`, value: "" }))
      const twice = [
        { key: "/twice", value: "1" },
        { key: "/twice", value: "2" },
      ]
      const refused = [
        await errorOf(store.get("")),
        await errorOf(put("", "x")),
        await errorOf(store.commit([], many)),
        await errorOf(store.commit([], twice)),
        await errorOf(put("/huge", "x".repeat(1024 * 1024))),
        await errorOf(store.commit([{ key: "/x", revision: -1 }], [])),
        await errorOf(store.commit([{ key: "/x", revision: 0.5 }], [])),
      ]
      expect(refused.map(({ code }) => code)).toEqual(refused.map(() => "internal"))
      expect((await store.list("/many/")).entries).toEqual([])
    })

    test("128 writes fit into one commit", async () => {
      const writes = Array.from({ length: 128 }, (_, n) => ({ key: `/most/${n}`, value: `${n}` }))
      expect((await store.commit([], writes)).committed).toBe(true)
      expect((await store.list("/most/")).entries).toHaveLength(128)
    })

    test("a watch tells what there is, then each change once and in order", async () => {
      await put("/watch/a", "0")
      const ear = new Ear()
      const watch = store.watch("/watch/", ear)
      await ear.hears("/watch/a", "0")
      const written: number[] = []
      for (let n = 1; n <= 20; n++) written.push((await put("/watch/a", `${n}`)).revision)
      await put("/watcx", "outside")
      const both = await store.commit(
        [],
        [
          { key: "/watch/a", value: undefined },
          { key: "/watch/b", value: "new" },
        ],
      )
      await ear.hears("/watch/b", "new")
      expect(ear.listings).toHaveLength(1)
      expect(ear.heard.slice(0, 20).map(({ revision }) => revision)).toEqual(written)
      expect(ear.heard.slice(0, 20).map(({ value }) => value)).toEqual(
        written.map((_, n) => `${n + 1}`),
      )
      const last = ear.heard.slice(20).sort((a, b) => (a.key < b.key ? -1 : 1))
      expect(last).toEqual([
        { key: "/watch/a", value: undefined, revision: both.revision },
        { key: "/watch/b", value: "new", revision: both.revision },
      ])
      expect(ear.revisions.at(-1)).toBe(both.revision)
      watch.close()
    })

    test("a watch on an empty prefix begins with an empty listing", async () => {
      const ear = new Ear()
      const watch = store.watch("/empty/", ear)
      await waitFor("the listing", () => ear.listings[0])
      expect(ear.listings[0]?.entries).toEqual([])
      await put("/empty/a", "1")
      await ear.hears("/empty/a", "1")
      expect(ear.heard).toHaveLength(1)
      watch.close()
    })

    test("a listener may write, and hears of that", async () => {
      const ear = new Ear()
      const watch = store.watch("/echo/", {
        snapshot: (listing) => ear.snapshot(listing),
        changes: (changes, revision) => {
          ear.changes(changes, revision)
          if (changes.some(({ key }) => key === "/echo/a")) void put("/echo/b", "answer")
        },
      })
      await waitFor("the listing", () => ear.listings[0])
      await put("/echo/a", "question")
      await ear.hears("/echo/b", "answer")
      watch.close()
    })

    test("a closed watch hears nothing more", async () => {
      const ear = new Ear()
      const other = new Ear()
      const watch = store.watch("/closed/", ear)
      const second = store.watch("/closed/", other)
      await put("/closed/a", "1")
      await ear.hears("/closed/a", "1")
      watch.close()
      await put("/closed/a", "2")
      await other.hears("/closed/a", "2")
      expect(ear.state.get("/closed/a")).toBe("1")
      second.close()
    })

    test("a listener that throws does not stop others, nor itself", async () => {
      const ear = new Ear()
      const bad = store.watch("/throw/", {
        snapshot: (listing) => {
          ear.snapshot(listing)
          throw new Error("bad listener")
        },
        changes: (changes, revision) => {
          ear.changes(changes, revision)
          throw new Error("bad listener")
        },
      })
      await waitFor("the listing", () => ear.listings[0])
      await put("/throw/a", "1")
      await ear.hears("/throw/a", "1")
      await put("/throw/a", "2")
      await ear.hears("/throw/a", "2")
      bad.close()
    })

    test("a presence is there until it is closed", async () => {
      const ear = new Ear()
      const watch = store.watch("/alive/", ear)
      const presence = store.present("/alive/a", "1", { ttlMs: 2000 })
      await ear.hears("/alive/a", "1")
      presence.close()
      await ear.hears("/alive/a", undefined)
      expect(await store.get("/alive/a")).toBeUndefined()
      watch.close()
    })

    test("a presence that somebody took away or wrote over is made again", async () => {
      const ear = new Ear()
      const watch = store.watch("/taken/", ear)
      await waitFor("the listing", () => ear.listings[0])
      const presence = store.present("/taken/a", "mine", { ttlMs: 2000 })
      await ear.hears("/taken/a", "mine")
      await store.commit([], [{ key: "/taken/a", value: undefined }])
      const values = () => ear.heard.map(({ value }) => value)
      await waitFor("it to be made again", () => values().length >= 3 || undefined)
      await put("/taken/a", "theirs")
      await waitFor("it to be written again", () => values().length >= 5 || undefined)
      expect(values()).toEqual(["mine", undefined, "mine", "theirs", "mine"])
      presence.close()
      await ear.hears("/taken/a", undefined)
      watch.close()
    })

    test("one key has one presence", async () => {
      const presence = store.present("/one/a", "1", { ttlMs: 2000 })
      expect(() => store.present("/one/a", "2", { ttlMs: 2000 })).toThrow("/one/a")
      presence.close()
      const again = store.present("/one/a", "3", { ttlMs: 2000 })
      await waitFor("the second", async () =>
        (await store.get("/one/a"))?.value === "3" ? true : undefined,
      )
      // Closing the first again must not touch the second.
      presence.close()
      expect((await store.get("/one/a"))?.value).toBe("3")
      again.close()
    })

    test("it is reachable and says where", async () => {
      await store.get("/health")
      expect(store.health().reachable).toBe(true)
      expect(store.health().endpoint).not.toBe("")
    })

    test("of many at once, one creates the key", async () => {
      const claims = Array.from({ length: 30 }, (_, n) =>
        store.commit([{ key: "/race/a", revision: 0 }], [{ key: "/race/a", value: `${n}` }]),
      )
      const won = (await Promise.all(claims)).filter(({ committed }) => committed)
      expect(won).toHaveLength(1)
    })

    test("closing takes presences away and fails what follows", async () => {
      const other = await open()
      const late = await errorOf(
        (async () => {
          other.present("/closing/a", "1", { ttlMs: 2000 })
          await waitFor("the presence", async () =>
            (await other.get("/closing/a")) === undefined ? undefined : true,
          )
          await other.close()
          await other.close()
          await other.get("/closing/a")
        })(),
      )
      expect(late.code).toBe("store-away")
      expect(late.message).toContain("closed")
    })
  })
}

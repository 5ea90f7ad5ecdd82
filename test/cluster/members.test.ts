/** An etcd of three members, with certificates and authentication, some of which are lost. */
import { afterAll, beforeAll, expect, test } from "bun:test"
import { readFileSync } from "node:fs"
import { EtcdStore } from "../../src/cluster/store/etcd/etcd_store.ts"
import { waitFor } from "../clients/program.ts"
import { Ear, errorOf } from "./ear.ts"
import { PacketCut } from "./packet_cut.ts"
import { realDependencies } from "./real_dependencies.ts"
import { Scene } from "./scene.ts"
import { CountingWriter } from "./writer.ts"

const PASSWORD = "correct horse"
const user = { name: "root", password: PASSWORD }
let scene: Scene

beforeAll(async () => {
  scene = await Scene.begin({
    members: 3,
    tls: true,
    rootPassword: PASSWORD,
    progressInterval: "1s",
  })
})
afterAll(() => scene?.end())

test("certificates and a user open it", async () => {
  const store = scene.store({ user })
  const { committed } = await store.commit(
    [{ key: "/t/a", revision: 0 }],
    [{ key: "/t/a", value: "1" }],
  )
  expect(committed).toBe(true)
  expect((await store.get("/t/a"))?.value).toBe("1")
  expect(store.health().endpoint).toStartWith("https://127.0.0.1:")
})

test("a wrong password, no user and no rights are told apart from an etcd that is away", async () => {
  await scene.cluster.ctl(["role", "add", "reader"])
  await scene.cluster.ctl(["role", "grant-permission", "reader", "read", "/t/", "--prefix=true"])
  await scene.cluster.ctl(["user", "add", "reader:pw"])
  await scene.cluster.ctl(["user", "grant-role", "reader", "reader"])
  const wrong = scene.store({ user: { name: "root", password: "hunter22" } })
  const error = await errorOf(wrong.get("/t/a"))
  expect(error.code).toBe("permission")
  expect(error.message).toContain("root")
  expect(error.message).not.toContain("hunter22")
  expect(wrong.health().reachable).toBe(false)
  expect(wrong.health().reason).toContain("Cannot log in to etcd as root")
  expect((await errorOf(scene.store().get("/t/a"))).code).toBe("permission")

  const refused: unknown[] = []
  const reader = scene.store({
    user: { name: "reader", password: "pw" },
    onError: (reason) => refused.push(reason),
  })
  expect((await reader.get("/t/a"))?.value).toBe("1")
  expect((await errorOf(reader.get("/other"))).code).toBe("permission")
  expect((await errorOf(reader.commit([], [{ key: "/t/a", value: "2" }]))).code).toBe("permission")
  expect(reader.health().reachable).toBe(true)
  const allowed = new Ear()
  reader.watch("/t/", allowed)
  reader.watch("/secret/", new Ear())
  await allowed.hears("/t/a", "1")
  await waitFor("the refusal", () => refused[0])
  expect(String(refused[0])).toContain("/secret/")
})

test("a certificate is demanded, and the server's is checked", async () => {
  const { certificates, urls } = scene.cluster
  if (certificates === undefined) throw new Error("no certificates")
  const ca = readFileSync(certificates.ca, "utf8")
  const { secureFetch } = await import("../../src/sys/http/fetch.ts")
  // Without a certificate; with another authority; under a name that the server's does not have.
  const named = urls.map((url) => url.replace("127.0.0.1", "localhost"))
  const cases = [
    { members: urls, fetch: secureFetch({ ca }) },
    { members: urls, fetch: secureFetch() },
    { members: named, fetch: realDependencies(certificates).fetch },
  ]
  const errors = []
  for (const { members, fetch } of cases) {
    const store = new EtcdStore(members, { ...realDependencies(), fetch }, { user, callMs: 1500 })
    errors.push(await errorOf(store.get("/t/a")))
    await store.close()
  }
  expect(errors.map(({ code }) => code)).toEqual(cases.map(() => "store-away"))
  expect(errors[0]?.message).toContain("client certificate")
  expect(errors[1]?.message).toContain("authority that is not trusted")
  expect(errors[2]?.message).toContain("for another name")
})

test("the leader is killed: writes go on at the others, the watch misses nothing", async () => {
  const leader = await scene.cluster.leader()
  const first = scene.cluster.members.indexOf(leader)
  const store = scene.store({ user }, first)
  const ear = new Ear()
  store.watch("/l/", ear)
  const writer = new CountingWriter(scene.store({ user }, first), "/l/")
  await waitFor("writes", () => writer.written.length > 30 || undefined)
  await leader.kill()
  const before = writer.written.length
  await waitFor("writes", () => writer.written.length > before + 30 || undefined)
  await scene.cluster.startMembers()
  await writer.stop()
  await ear.hears(writer.key, String(writer.written.at(-1)))
  const first_ = Number(ear.listings[0]?.entries[0]?.value ?? -1)
  expect(ear.heard.map(({ value }) => Number(value))).toEqual(
    writer.written.filter((n) => n > first_),
  )
  expect(ear.listings).toHaveLength(1)
  console.log(`leader killed: longest gap between writes ${Math.round(writer.longestGapMs)} ms`)
})

test("the serving member hangs: calls and the watch move to another", async () => {
  const [member] = scene.cluster.members
  const store = scene.store({ user }, 0)
  const ear = new Ear()
  store.watch("/s/", ear)
  const writer = scene.store({ user }, 1)
  await writer.commit([], [{ key: "/s/a", value: "1" }])
  await ear.hears("/s/a", "1")
  await member?.pause()
  try {
    await waitFor("a write", async () =>
      writer.commit([], [{ key: "/s/a", value: "2" }]).catch(() => undefined),
    )
    await ear.hears("/s/a", "2", 20_000)
    expect((await store.get("/s/a"))?.value).toBe("2")
    expect(store.health().endpoint).not.toBe(member?.url)
  } finally {
    member?.resume()
  }
  expect(ear.listings).toHaveLength(1)
})

test("a member that lost the others is left, by the watch too", async () => {
  const [member] = scene.cluster.members
  const store = scene.store({ user }, 0)
  const ear = new Ear()
  store.watch("/p/", ear)
  const writer = scene.store({ user }, 1)
  await writer.commit([], [{ key: "/p/a", value: "1" }])
  await ear.hears("/p/a", "1")
  const cut = new PacketCut([member?.peerPort ?? 0])
  try {
    await waitFor("a write", async () =>
      writer.commit([], [{ key: "/p/a", value: "2" }]).catch(() => undefined),
    )
    await ear.hears("/p/a", "2", 30_000)
    expect((await store.get("/p/a"))?.value).toBe("2")
  } finally {
    cut.mend()
  }
  expect(ear.listings).toHaveLength(1)
})

test("all members are away for a while and have forgotten every token", async () => {
  const store = scene.store({ user })
  const ear = new Ear()
  store.watch("/a/", ear)
  store.present("/a/me", "here", { ttlMs: 3000 })
  await ear.hears("/a/me", "here")
  await scene.cluster.kill()
  expect((await errorOf(store.get("/a/me"))).code).toBe("store-away")
  await new Promise((resolve) => setTimeout(resolve, 3000))
  await scene.cluster.startMembers()
  await waitFor("the store to be back", () => store.health().reachable || undefined)
  await store.commit([], [{ key: "/a/b", value: "1" }])
  await ear.hears("/a/b", "1")
  await ear.hears("/a/me", "here")
})

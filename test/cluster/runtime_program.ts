/**
 * A host in one process, for either runtime: uses every operation of a store with certificates and
 * a password, and prints what it saw as JSON.
 *
 * Arguments: URLs with commas between, password of root, files of CA, certificate and key, prefix.
 */
import { readFileSync } from "node:fs"
import { EtcdStore } from "../../src/cluster/store/etcd/etcd_store.ts"
import type { Store } from "../../src/cluster/store/store.ts"
import { secureFetch } from "../../src/sys/http/fetch.ts"
import { Ear, errorOf } from "./ear.ts"
import { timersOfRuntime } from "./real_dependencies.ts"

const [urls = "", password = "", ca = "", cert = "", key = "", prefix = ""] = process.argv.slice(2)

async function use(store: Store): Promise<unknown> {
  const ear = new Ear()
  const at = (name: string) => `${prefix}${name}`
  await store.commit([], [{ key: at("a"), value: "é" }])
  store.watch(prefix, ear)
  await ear.hears(at("a"), "é")
  const create = () => store.commit([{ key: at("b"), revision: 0 }], [{ key: at("b"), value: "1" }])
  const created = [(await create()).committed, (await create()).committed]
  await ear.hears(at("b"), "1")
  const presence = store.present(at("me"), "here", { ttlMs: 2000 })
  await ear.hears(at("me"), "here")
  await store.commit([], [{ key: at("a"), value: undefined }])
  await ear.hears(at("a"), undefined)
  presence.close()
  await ear.hears(at("me"), undefined)
  const { reachable } = store.health()
  const left = (await store.list(prefix)).entries.map((entry) => entry.value)
  await store.close()
  const closed = (await errorOf(store.get(at("a")))).code
  const heard = ear.heard.map(({ value }) => value ?? null)
  return { created, reachable, left, closed, heard, listings: ear.listings.length }
}

/** What an etcd that nobody can reach is called. */
async function refused(): Promise<string> {
  const dependencies = { ...timersOfRuntime, fetch: secureFetch() }
  const store = new EtcdStore("http://127.0.0.1:29999", dependencies, { callMs: 500 })
  const { message } = await errorOf(store.get("a"))
  await store.close()
  return message
}

const pem = (path: string) => readFileSync(path, "utf8")
const fetch = secureFetch({ ca: pem(ca), cert: pem(cert), key: pem(key) })
const user = { name: "root", password }
const etcd = await use(new EtcdStore(urls, { ...timersOfRuntime, fetch }, { user }))
console.log(JSON.stringify({ etcd, refused: await refused() }))

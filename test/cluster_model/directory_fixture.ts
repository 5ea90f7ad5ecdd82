/** A directory on a store in memory, with two hosts to write there. */
import type { DirectoryOptions } from "../../src/cluster/directory/directory.ts"
import { Keyspace } from "../../src/cluster/records/keyspace.ts"
import type { Write } from "../../src/cluster/store/store.ts"
import { MemoryStore } from "./memory_store.ts"
import { Observer } from "./observer.ts"
import { TestHost } from "./test_host.ts"

export const keys = new Keyspace("edge")

export function fixture(change: Partial<DirectoryOptions> = {}) {
  const store = new MemoryStore()
  const observer = new Observer(keys, change)
  const { directory } = observer
  store.watch(keys.prefix, directory)
  store.deliver()
  const [h1, h2] = [new TestHost("h1", 1, keys), new TestHost("h2", 2, keys)]
  /** Writes, and lets the directory hear of it. */
  const tell = (...writes: Write[]) => {
    store.write(writes)
    store.deliver()
  }
  const pass = (ms: number) => {
    observer.now += ms
    directory.tick()
  }
  const gone = (host: TestHost) => tell({ key: keys.alive(host.id), value: undefined })
  return { store, observer, directory, h1, h2, tell, pass, gone }
}

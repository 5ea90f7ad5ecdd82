import { afterAll, beforeAll } from "bun:test"
import { mkdtempSync, rmSync } from "node:fs"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { EtcdStore } from "../../src/cluster/store/etcd/etcd_store.ts"
import { EtcdCluster } from "./etcd.ts"
import { realDependencies } from "./real_dependencies.ts"
import { storeContract } from "./store_contract.ts"

let cluster: EtcdCluster
const directory = mkdtempSync(join(tmpdir(), "etcd-"))

beforeAll(async () => {
  cluster = await EtcdCluster.start(directory)
})
afterAll(async () => {
  await cluster?.stop()
  rmSync(directory, { recursive: true, force: true })
})

storeContract("etcd", async () => new EtcdStore(cluster.urls, realDependencies()))

/** One etcd and the stores on it, all ended after the tests of a file. */
import { mkdtempSync, rmSync } from "node:fs"
import { tmpdir } from "node:os"
import { join } from "node:path"
import type { Dependencies } from "../../src/cluster/store/dependencies.ts"
import { EtcdStore, type EtcdStoreOptions } from "../../src/cluster/store/etcd/etcd_store.ts"
import { EtcdCluster, type EtcdClusterOptions } from "./etcd.ts"
import { Gate, realDependencies } from "./real_dependencies.ts"

export class Scene {
  readonly cluster: EtcdCluster
  readonly directory: string
  readonly #stores: EtcdStore[] = []

  private constructor(cluster: EtcdCluster, directory: string) {
    this.cluster = cluster
    this.directory = directory
  }

  static async begin(options: EtcdClusterOptions = {}): Promise<Scene> {
    const directory = mkdtempSync(join(tmpdir(), "etcd-"))
    return new Scene(await EtcdCluster.start(directory, options), directory)
  }

  /**
   * A store of its own, as on another host.
   *
   * @param first index of the member that it asks first
   */
  store(options: EtcdStoreOptions = {}, first?: number): EtcdStore {
    return this.#open(realDependencies(this.cluster.certificates), options, first)
  }

  /** A store of its own, and the gate through which it reaches etcd. */
  gated(options: EtcdStoreOptions = {}): { store: EtcdStore; gate: Gate } {
    const dependencies = realDependencies(this.cluster.certificates)
    const gate = new Gate(dependencies.fetch)
    return { store: this.#open({ ...dependencies, fetch: gate.fetch }, options), gate }
  }

  #open(dependencies: Dependencies, options: EtcdStoreOptions, first?: number): EtcdStore {
    const { urls } = this.cluster
    // The first number that a store draws picks the member.
    let drawn = first === undefined ? undefined : (first + 0.5) / urls.length
    const random = () => {
      const number = drawn ?? dependencies.random()
      drawn = undefined
      return number
    }
    const store = new EtcdStore(urls, { ...dependencies, random }, options)
    this.#stores.push(store)
    return store
  }

  async end(): Promise<void> {
    await Promise.all(this.#stores.map((store) => store.close()))
    await this.cluster.stop()
    rmSync(this.directory, { recursive: true, force: true })
  }
}

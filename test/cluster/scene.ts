/** One etcd and the stores on it, all ended after the tests of a file. */
import { mkdtempSync, rmSync } from "node:fs"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { EtcdStore, type EtcdStoreOptions } from "../../src/cluster/etcd_store.ts"
import { EtcdCluster, type EtcdClusterOptions } from "./etcd.ts"
import { realWorld } from "./world.ts"

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
    const { urls, certificates } = this.cluster
    const world = realWorld(certificates)
    let random = world.random
    if (first !== undefined) {
      // The first number that a store draws picks the member.
      random = () => {
        random = world.random
        return (first + 0.5) / urls.length
      }
    }
    const store = new EtcdStore(urls, { ...world, random: () => random() }, options)
    this.#stores.push(store)
    return store
  }

  async end(): Promise<void> {
    await Promise.all(this.#stores.map((store) => store.close()))
    await this.cluster.stop()
    rmSync(this.directory, { recursive: true, force: true })
  }
}

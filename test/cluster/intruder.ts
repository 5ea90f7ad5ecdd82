/** Somebody who can write to the store of a lab whatever he likes, with or without the cluster's key. */

import { Keyspace } from "../../src/cluster/records/keyspace.ts"
import { parsePsk } from "../../src/cluster/records/psk.ts"
import { EtcdStore } from "../../src/cluster/store/etcd/etcd_store.ts"
import type { Write } from "../../src/cluster/store/store.ts"
import { waitFor } from "../clients/program.ts"
import { TestHost } from "../cluster_model/test_host.ts"
import { type ClusterLab, LAB_PSK } from "../vm/cluster_lab.ts"
import type { LabHost } from "../vm/lab_host.ts"
import { realDependencies } from "./real_dependencies.ts"

/** The network of labs. */
export const NETWORK = "mesh"
/** How soon an agent puts right what somebody wrote over. */
const SOON_MS = 5000

export class Intruder {
  readonly keys = new Keyspace("lab")
  readonly store: EtcdStore

  constructor(lab: ClusterLab) {
    this.store = new EtcdStore(lab.store.urls, realDependencies())
  }

  /** A host that is in the cluster and that nobody has taught manners. */
  insider(id: string, number: number): TestHost {
    return new TestHost(id, number, this.keys, parsePsk(LAB_PSK, { cluster: "lab" }), NETWORK)
  }

  async write(...writes: Write[]): Promise<void> {
    await this.store.commit([], writes)
  }

  async read(key: string): Promise<string | undefined> {
    return (await this.store.get(key))?.value
  }

  /** Until a key has a value that is wanted. */
  async until(key: string, wanted: (value: string | undefined) => boolean): Promise<string> {
    let last: string | undefined
    await waitFor(
      `${key} to be put right`,
      async () => {
        last = await this.read(key)
        return wanted(last) || undefined
      },
      SOON_MS,
    )
    return last ?? ""
  }

  /** Until a key is as a host wrote it, and not as it was. */
  isOf(key: string, hostId: string, other?: string): Promise<string> {
    return this.until(key, (value) => value !== other && value?.split(" ")[4] === hostId)
  }

  close(): Promise<void> {
    return this.store.close()
  }
}

/** What an agent said of refusals since a place in its log. */
export function refusals(host: LabHost, from = 0): string[] {
  return host.log
    .slice(from)
    .split("\n")
    .filter((line) => line.includes("refused:"))
}

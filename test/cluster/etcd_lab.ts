/** Hosts with agents on an etcd that can be hurt, and put back to a snapshot. */
import { writeFileSync } from "node:fs"
import { join } from "node:path"
import { ClusterLab, type LabOptions } from "../vm/cluster_lab.ts"
import type { LabHost } from "../vm/lab_host.ts"
import { TEST_ADDRESSES } from "../vm/underlay.ts"
import { whole } from "./agents.ts"
import { EtcdCluster, type EtcdClusterOptions } from "./etcd.ts"

/** What an {@link EtcdLab} has. */
export interface EtcdLabOptions {
  /** Names of the hosts whose agents are started. Default `["a", "b"]`. */
  readonly hosts?: readonly string[]
  readonly network?: LabOptions["network"]
  /** How long a host may be silent. */
  readonly hostTimeout: string
  readonly etcd?: EtcdClusterOptions
}

export class EtcdLab {
  readonly lab: ClusterLab
  readonly etcd: EtcdCluster
  readonly #options: EtcdLabOptions

  private constructor(lab: ClusterLab, etcd: EtcdCluster, options: EtcdLabOptions) {
    this.lab = lab
    this.etcd = etcd
    this.#options = options
  }

  /** Starts everything, and waits until each host reaches the others. */
  static async start(options: EtcdLabOptions): Promise<EtcdLab> {
    const { hosts = ["a", "b"], network } = options
    const common = { hosts, driver: "vxlan", members: 0, agents: false } as const
    const lab = await ClusterLab.start(network === undefined ? common : { ...common, network })
    const address = TEST_ADDRESSES.v4
    const directory = join(lab.directory, "etcd")
    const etcd = await EtcdCluster.start(directory, { ...options.etcd, address }).catch(
      async (cause) => {
        await lab.close()
        throw cause
      },
    )
    const made = new EtcdLab(lab, etcd, options)
    await Promise.all(lab.hosts.map((host) => made.#start(host)))
    await Promise.all(
      lab.hosts.map((host) => whole(host, hosts.filter((name) => name !== host.name).sort())),
    )
    return made
  }

  get hosts(): readonly LabHost[] {
    return this.lab.hosts
  }

  /** The host of that name, or with that place. */
  host(which: string | number): LabHost {
    return this.lab.host(which)
  }

  /** One more host, with its agent. */
  async enter(name: string): Promise<LabHost> {
    const host = await this.lab.addHost(name)
    await this.#start(host)
    return host
  }

  /** Puts the etcd back to a snapshot; agents that run must notice by themselves. */
  async putBack(snapshot: string): Promise<void> {
    await this.etcd.kill()
    await this.etcd.restore(snapshot)
  }

  async close(): Promise<void> {
    await this.etcd.stop()
    await this.lab.close()
  }

  async #start(host: LabHost): Promise<void> {
    const { hostTimeout } = this.#options
    const settings = { ...host.options.settings, hostTimeout, store: this.etcd.urls.join(",") }
    host.options = { ...host.options, settings: { ...settings, ...this.#credentials(host) } }
    await host.startAgent()
  }

  #credentials(host: LabHost): Record<string, string> {
    const { certificates } = this.etcd
    const { rootPassword } = this.#options.etcd ?? {}
    const all: Record<string, string> = {}
    if (certificates !== undefined) {
      all.storeCa = certificates.ca
      all.storeCert = certificates.clientCert
      all.storeKey = certificates.clientKey
    }
    if (rootPassword !== undefined) {
      all.storeUser = "root"
      all.storePasswordFile = join(host.directory, "password")
      writeFileSync(all.storePasswordFile, `${rootPassword}\n`, { mode: 0o600 })
    }
    return all
  }
}

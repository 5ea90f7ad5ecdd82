/** The two sides of the comparison, as plugin calls that differ in nothing but the side. */
import { readdirSync, rmSync } from "node:fs"
import { join } from "node:path"
import type { PluginCall } from "./plugin_process.ts"

/** An interface that is to be in a container. */
export interface Attachment {
  readonly containerId: string
  readonly netns: string
  readonly ifname: string
}

/** One side. */
export interface Contender {
  readonly name: string
  call(command: "ADD" | "DEL" | "VERSION", attachment: Attachment): PluginCall
}

/** Both sides' configuration: a bridge that is the default gateway, hairpin, a /16 of addresses. */
function bridgeConf(ipMasq: boolean, more: Readonly<Record<string, unknown>>): string {
  return JSON.stringify({
    cniVersion: "1.0.0",
    isGateway: true,
    isDefaultGateway: true,
    hairpinMode: true,
    ipMasq,
    ...more,
  })
}

function environment(command: string, { containerId, netns, ifname }: Attachment, plugins: string) {
  return {
    CNI_COMMAND: command,
    CNI_CONTAINERID: containerId,
    CNI_NETNS: netns,
    CNI_IFNAME: ifname,
    CNI_PATH: plugins,
    PATH: "/usr/sbin:/usr/bin:/sbin:/bin",
  }
}

/** Where the peer's plugins are, and where it keeps its leases. */
export interface PeerPaths {
  readonly plugins: string
  readonly directory: string
}

/** Debian's bridge and host-local, their leases in a directory of ours. */
export class Peer implements Contender {
  readonly name: string
  readonly #conf: string
  readonly #paths: PeerPaths
  readonly #network: string

  constructor(network: string, subnet: string, paths: PeerPaths, options: { ipMasq: boolean }) {
    this.name = "bridge+host-local"
    this.#network = network
    this.#paths = paths
    this.#conf = bridgeConf(options.ipMasq, {
      name: network,
      type: "bridge",
      bridge: network,
      ipam: { type: "host-local", dataDir: paths.directory, subnet },
    })
  }

  call(command: string, attachment: Attachment): PluginCall {
    const program = join(this.#paths.plugins, "bridge")
    return {
      program,
      env: environment(command, attachment, this.#paths.plugins),
      input: this.#conf,
    }
  }

  /** host-local alone, as the bridge plugin calls it. */
  ipam(command: string, attachment: Attachment): PluginCall {
    const program = join(this.#paths.plugins, "host-local")
    return {
      program,
      env: environment(command, attachment, this.#paths.plugins),
      input: this.#conf,
    }
  }

  /** How many leases its directory holds. */
  leases(): number {
    return readdirSync(join(this.#paths.directory, this.#network)).filter((name) =>
      /^\d/.test(name),
    ).length
  }

  forgetLeases(): void {
    rmSync(join(this.#paths.directory, this.#network), { recursive: true, force: true })
  }
}

/** Where our plugin is, and where its agent listens. */
export interface OurPaths {
  readonly program: string
  readonly socket: string
}

/** Our plugin and the agent behind the socket. */
export class Ours implements Contender {
  readonly name = "lariat"
  readonly conf: Readonly<Record<string, unknown>>
  readonly #program: string
  readonly #socket: string
  readonly #input: string

  constructor(network: string, subnet: string, paths: OurPaths, options: { ipMasq: boolean }) {
    this.#program = paths.program
    this.#socket = paths.socket
    this.#input = bridgeConf(options.ipMasq, {
      name: network,
      type: "rancher-bridge",
      bridge: network,
      bridgeSubnet: subnet,
      ipam: { type: "rancher-cni-ipam" },
    })
    this.conf = JSON.parse(this.#input)
  }

  call(command: string, attachment: Attachment): PluginCall {
    const env = { ...environment(command, attachment, ""), LARIAT_SOCKET: this.#socket }
    return { program: this.#program, env, input: this.#input }
  }
}

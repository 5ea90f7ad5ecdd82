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

const PEER_PLUGINS = "/usr/lib/cni"

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

function environment(command: string, { containerId, netns, ifname }: Attachment) {
  return {
    CNI_COMMAND: command,
    CNI_CONTAINERID: containerId,
    CNI_NETNS: netns,
    CNI_IFNAME: ifname,
    CNI_PATH: PEER_PLUGINS,
    PATH: "/usr/sbin:/usr/bin:/sbin:/bin",
  }
}

/** Debian's bridge and host-local, their leases in a directory of ours. */
export class Peer implements Contender {
  readonly name: string
  readonly #conf: string
  readonly #directory: string
  readonly #network: string

  constructor(network: string, subnet: string, directory: string, options: { ipMasq: boolean }) {
    this.name = "bridge+host-local"
    this.#network = network
    this.#directory = directory
    this.#conf = bridgeConf(options.ipMasq, {
      name: network,
      type: "bridge",
      bridge: network,
      ipam: { type: "host-local", dataDir: directory, subnet },
    })
  }

  call(command: string, attachment: Attachment): PluginCall {
    const program = join(PEER_PLUGINS, "bridge")
    return { program, env: environment(command, attachment), input: this.#conf }
  }

  /** host-local alone, as the bridge plugin calls it. */
  ipam(command: string, attachment: Attachment): PluginCall {
    const program = join(PEER_PLUGINS, "host-local")
    return { program, env: environment(command, attachment), input: this.#conf }
  }

  /** How many leases its directory holds. */
  leases(): number {
    return readdirSync(join(this.#directory, this.#network)).filter((name) => /^\d/.test(name))
      .length
  }

  forgetLeases(): void {
    rmSync(join(this.#directory, this.#network), { recursive: true, force: true })
  }
}

/** Our plugin and the agent behind the socket. */
export class Ours implements Contender {
  readonly name = "lariat"
  readonly conf: Readonly<Record<string, unknown>>
  readonly #program: string
  readonly #socket: string
  readonly #input: string

  constructor(
    network: string,
    subnet: string,
    paths: { program: string; socket: string },
    options: { ipMasq: boolean },
  ) {
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
    const env = { ...environment(command, attachment), LARIAT_SOCKET: this.#socket }
    return { program: this.#program, env, input: this.#input }
  }
}

/** A container of the lab: a namespace that a host's agent attached. */
import { type Attachment, askCni } from "../netns/control_call.ts"
import type { Conf, PluginJson } from "../netns/lab.ts"
import { LabNetns } from "./lab_netns.ts"
import { type PingOptions, type PingResult, ping } from "./ping.ts"
import type { Place } from "./traffic.ts"

/** The host's part that a container needs. */
export interface ContainerHost {
  readonly name: string
  readonly socket: string
  readonly containers: Map<string, LabContainer>
}

export class LabContainer {
  readonly host: ContainerHost
  readonly netns: LabNetns
  readonly attachment: Attachment
  readonly #conf: Conf
  #result: PluginJson = {}

  private constructor(host: ContainerHost, netns: LabNetns, attachment: Attachment, conf: Conf) {
    this.host = host
    this.netns = netns
    this.attachment = attachment
    this.#conf = conf
  }

  /** Makes the namespace; nothing is attached yet. */
  static make(host: ContainerHost, id: string, ifname: string, conf: Conf): LabContainer {
    const netns = new LabNetns(`${host.name}-${id}`)
    return new LabContainer(host, netns, { id, netns: netns.path, ifname }, conf)
  }

  get id(): string {
    return this.attachment.id
  }

  /** What the agent said of it. */
  get result(): PluginJson {
    return this.#result
  }

  /** Takes the agent's answer. */
  attached(result: PluginJson): void {
    this.#result = result
  }

  /** All addresses, without prefix length. */
  get addresses(): readonly string[] {
    return (this.#result.ips ?? []).map(({ address }) => address.split("/")[0] ?? "")
  }

  get v4(): string {
    return this.#address((address) => !address.includes(":"))
  }

  get v6(): string {
    return this.#address((address) => address.includes(":"))
  }

  /** Bytes. */
  get mtu(): number {
    return this.netns.link(this.attachment.ifname).mtu
  }

  /** As the end of a stream. */
  place(family: 4 | 6 = 4): Place {
    return { netns: this.netns, address: family === 4 ? this.v4 : this.v6 }
  }

  ping(destination: string, options: PingOptions = {}): Promise<PingResult> {
    return ping(this.netns, destination, options)
  }

  /** Detaches it and takes the namespace away. */
  async detach(): Promise<void> {
    const answer = await askCni(this.host.socket, "DEL", this.attachment, this.#conf)
    if (answer.exit !== 0) {
      throw new Error(`DEL ${this.id} on ${this.host.name}: ${answer.stdout}${answer.stderr}`)
    }
    this.host.containers.delete(this.id)
    this.netns.close()
  }

  #address(fits: (address: string) => boolean): string {
    const found = this.addresses.find(fits)
    if (found === undefined) throw new Error(`${this.id} has only ${this.addresses.join(", ")}`)
    return found
  }
}

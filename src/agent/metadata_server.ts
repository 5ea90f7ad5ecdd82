import { networkInterfaces } from "node:os"
import { LariatError, messageOf } from "../errors.ts"
import { metadataApp } from "../metadata/app.ts"
import { newAddress } from "../netlink/addr.ts"
import { changeLink } from "../netlink/link.ts"
import { serveHttp } from "../sys/http.ts"
import type { AgentContext } from "./context.ts"
import { metadataModel } from "./metadata_model.ts"

/** The link that carries the metadata address: packets from any bridge reach it. */
const LOOPBACK = "lo"

/** The metadata API on its well-known address, which the server puts on the host itself. */
export class MetadataServer {
  readonly #context: AgentContext
  readonly #address: string
  #server: { stop(): void } | undefined

  private constructor(context: AgentContext, address: string) {
    this.#context = context
    this.#address = address
  }

  /**
   * Starts serving. A port that is taken does not keep the agent from attaching containers: it
   * becomes a problem of `status`.
   */
  static start(context: AgentContext): MetadataServer {
    const { hostname, port } = listenAddress(context.settings.metadataListen)
    const server = new MetadataServer(context, hostname)
    const app = metadataApp(
      metadataModel({
        index: context.index,
        networks: context.networks,
        host: context.host,
        hostLabels: context.settings.hostLabels,
        isHostAddress,
      }),
    )
    try {
      server.ensureAddress()
      server.#server = serveHttp({ hostname, port }, (request, remote) =>
        app.fetch(request, { remoteAddress: remote.address }),
      )
      context.health.clear("metadata")
    } catch (error) {
      context.health.raise("metadata", {
        severity: "error",
        what: `the metadata API cannot listen on ${context.settings.metadataListen}: ${messageOf(error)}`,
        hint: "free the address, or choose another with --metadata-listen, and restart the agent",
      })
    }
    return server
  }

  /** Puts the address on the host where it is not there. */
  ensureAddress(): void {
    if (!isHostAddress(this.#address)) {
      addHostAddress(this.#context, `${this.#address}/${this.#address.includes(":") ? 128 : 32}`)
    }
  }

  stop(): void {
    this.#server?.stop()
  }
}

/** Puts an address on the host's loopback link, which is brought up where it is not. */
function addHostAddress({ kernel }: AgentContext, address: string): void {
  const index = kernel.link(LOOPBACK)?.index
  if (index === undefined) return
  kernel.apply([changeLink(index, { up: true }), newAddress(index, address, { replace: true })])
}

function isHostAddress(address: string): boolean {
  return Object.values(networkInterfaces()).some((list) =>
    list?.some((one) => one.address === address),
  )
}

/**
 * Splits `address:port` or `[address]:port`.
 *
 * @throws LariatError `config-invalid`
 */
export function listenAddress(text: string): { hostname: string; port: number } {
  const match = /^(?:\[([0-9a-fA-F:]+)\]|([0-9.]+)):(\d{1,5})$/.exec(text)
  const hostname = match?.[1] ?? match?.[2]
  const port = Number(match?.[3])
  if (hostname === undefined || port > 65_535) {
    throw new LariatError(`Cannot listen on ${JSON.stringify(text)}: expected ADDRESS:PORT`, {
      code: "config-invalid",
      hint: "write 169.254.169.250:80 or [fd00::1]:80",
    })
  }
  return { hostname, port }
}

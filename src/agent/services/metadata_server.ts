import { parseAddress } from "../../core/address.ts"
import { messageOf } from "../../errors.ts"
import { MetadataApi, QUESTIONS } from "../../metadata/metadata_api.ts"
import { type FetchServer, serveFetch } from "../../sys/http/fetch_server.ts"
import { after } from "../../sys/timer.ts"
import type { AgentContext } from "../context.ts"
import { containerUuid } from "./metadata_feed.ts"
import { ensureHostAddress, hostAddresses, listenAddress } from "./service_address.ts"

const MAX_ASKERS = 4096
/** Requests that wait for a change, of one address. */
const MAX_WAITS_PER_CONTAINER = 1024

/** The metadata API on its well-known address, which the server puts on the host itself. */
export class MetadataServer {
  readonly #context: AgentContext
  readonly #address: string
  /** Addresses that are no endpoint's, and whether they may ask. */
  readonly #askers = new Map<string, boolean>()
  #server: FetchServer | undefined

  private constructor(context: AgentContext, address: string) {
    this.#context = context
    this.#address = address
  }

  /**
   * Starts serving. A port that is taken does not keep the agent from attaching containers: it
   * becomes a problem of `status`.
   */
  static async start(context: AgentContext): Promise<MetadataServer> {
    const { hostname, port } = listenAddress(context.settings.metadataListen)
    const server = new MetadataServer(context, hostname)
    const api = new MetadataApi({
      model: context.metadata.model,
      // An adopted container also asks from the address that its engine gave it.
      askerAt: (address) => {
        const row = context.index.byAddress(address)
        return row && context.metadata.model.container(containerUuid(row))
      },
      mayAsk: (address) => server.#mayAsk(address),
      newVersion: () => crypto.randomUUID(),
      schedule: after,
      waiting: { mostPerSource: MAX_WAITS_PER_CONTAINER },
    })
    try {
      server.ensureAddress()
      const onError = (error: unknown) => context.log.error("metadata: {error}", { error })
      server.#server = serveFetch({ hostname, port, ...QUESTIONS, onError }, api.fetch)
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

  /**
   * Whether an address is of a managed network or this host's own. Remembered until the next
   * regular check: to list the host's addresses costs more than an answer.
   */
  #mayAsk(address: string): boolean {
    const { index, networks } = this.#context
    if (index.byAddress(address) !== undefined) return true
    const known = this.#askers.get(address)
    if (known !== undefined) return known
    const may =
      networks.containing(parseAddress(address)) !== undefined || hostAddresses().includes(address)
    if (this.#askers.size >= MAX_ASKERS) this.#askers.clear()
    this.#askers.set(address, may)
    return may
  }

  /** Puts the address on the host where it is not there. */
  ensureAddress(): void {
    this.#askers.clear()
    ensureHostAddress(this.#context.kernel, this.#address)
  }

  async stop(): Promise<void> {
    await this.#server?.stop()
  }
}

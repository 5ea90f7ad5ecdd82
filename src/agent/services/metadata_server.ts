import { parseAddress } from "../../core/address.ts"
import { MetadataApi, QUESTIONS } from "../../metadata/metadata_api.ts"
import { type FetchServer, serveFetch } from "../../sys/http/fetch_server.ts"
import { after } from "../../sys/timer.ts"
import type { AgentContext } from "../context.ts"
import { KeptListening } from "./kept_listening.ts"
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
  readonly #kept: KeptListening<FetchServer>

  /** @throws LariatError `config-invalid` when the address to listen on is none */
  constructor(context: AgentContext) {
    const { metadataListen } = context.settings
    const { hostname, port } = listenAddress(metadataListen)
    this.#context = context
    this.#address = hostname
    const api = new MetadataApi({
      model: context.metadata.model,
      // An adopted container also asks from the address that its engine gave it.
      askerAt: (address) => {
        const row = context.index.byAddress(address)
        return row && context.metadata.model.container(containerUuid(row))
      },
      mayAsk: (address) => this.#mayAsk(address),
      newVersion: () => crypto.randomUUID(),
      now: () => performance.now(),
      schedule: after,
      waiting: { mostPerSource: MAX_WAITS_PER_CONTAINER },
    })
    const onError = (error: unknown) => context.log.error("metadata: {error}", { error })
    this.#kept = new KeptListening({
      key: "metadata",
      health: context.health,
      what: `the metadata API cannot listen on ${metadataListen}`,
      hint: "free the address, it is tried again, or choose another with --metadata-listen and restart the agent",
      open: () => {
        this.ensureAddress()
        return serveFetch({ hostname, port, ...QUESTIONS, onError }, api.fetch)
      },
    })
  }

  /** Starts serving, as soon as it can. */
  start(): Promise<void> {
    return this.#kept.start()
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

  stop(): Promise<void> {
    return this.#kept.stop()
  }
}

/**
 * A small etcd of one member, in memory, behind a fetch handler: the part of the v3 JSON gateway
 * that {@link EtcdStore} speaks. For demos and tests where no etcd is installed; everything is gone
 * with the process.
 */

import type { Cancel } from "../../cluster/store/dependencies.ts"
import {
  countField,
  type Fields,
  fieldsOf,
  idField,
  parseFields,
} from "../../cluster/store/etcd/codec.ts"
import { LariatError, messageOf } from "../../errors.ts"
import { GatewayLeases } from "./gateway_leases.ts"
import { GatewayTransactions } from "./gateway_txn.ts"
import { watchStream } from "./gateway_watch.ts"
import { KeyHistory } from "./key_history.ts"
import { INVALID_ARGUMENT, NOT_FOUND, Refusal, UNIMPLEMENTED } from "./refusal.ts"

/** Settings of an {@link EtcdGateway}. */
export interface EtcdGatewayOptions {
  /** Calls once after so many milliseconds. */
  readonly after: (ms: number, call: () => void) => Cancel
  /** How often a watch says that it is alive, ms. Default 5,000. */
  readonly progressMs?: number
  /** Events that watches may go back to. Default 20,000. */
  readonly maxEvents?: number
}

/** What etcd's own limit of requests is (--max-request-bytes), in base64 and with room around it. */
export const MAX_REQUEST_BYTES = 4 * 1024 * 1024
/** One cluster, one member, elected once. */
const HEADER = { cluster_id: "1", member_id: "1", raft_term: "1" }

type Call = (fields: Fields) => object

export class EtcdGateway {
  readonly #options: EtcdGatewayOptions
  readonly #history: KeyHistory
  readonly #leases: GatewayLeases
  readonly #calls: Readonly<Record<string, Call>>
  readonly #end = new AbortController()

  constructor(options: EtcdGatewayOptions) {
    this.#options = options
    const { maxEvents } = options
    this.#history = new KeyHistory(maxEvents === undefined ? {} : { maxEvents })
    this.#leases = new GatewayLeases(this.#history, options.after)
    const leases = this.#leases
    const transactions = new GatewayTransactions(this.#history, leases)
    this.#calls = {
      "/v3/kv/range": (fields) => transactions.range(fields),
      "/v3/kv/txn": (fields) => transactions.txn(fields),
      "/v3/lease/grant": (fields) => {
        const { id, ttl } = leases.grant(countField(fields, "TTL"))
        return { ID: id, TTL: String(ttl) }
      },
      "/v3/lease/keepalive": (fields) => {
        const id = idField(fields, "ID")
        const ttl = leases.renew(id)
        const result = { header: this.#header(), ID: id }
        // proto3 JSON leaves out what is zero: a lease that is lost.
        return { result: ttl === undefined ? result : { ...result, TTL: String(ttl) } }
      },
      "/v3/lease/revoke": (fields) => {
        if (!leases.revoke(idField(fields, "ID"))) {
          throw new Refusal(NOT_FOUND, "etcdserver: requested lease not found")
        }
        return {}
      },
      "/v3/maintenance/status": () => ({ version: "3.5.0", leader: HEADER.member_id }),
    }
  }

  /**
   * Answers one request. A watch ends when its body is cancelled, which servers do when a client
   * has gone.
   */
  readonly fetch = async (request: Request): Promise<Response> => {
    const { pathname } = new URL(request.url)
    try {
      const fields = parseFields(await bodyOf(request), "a request")
      if (this.#end.signal.aborted) throw new Refusal(NOT_FOUND, "etcdserver: stopped")
      if (pathname === "/v3/watch") return this.#watch(fields)
      const call = Object.hasOwn(this.#calls, pathname) ? this.#calls[pathname] : undefined
      if (call === undefined) throw new Refusal(UNIMPLEMENTED, `${pathname} is not served here`)
      const answer = call(fields)
      return Response.json("result" in answer ? answer : { header: this.#header(), ...answer })
    } catch (error) {
      return refused(error)
    }
  }

  /** Ends watches and forgets leases. */
  close(): void {
    this.#end.abort()
    this.#leases.close()
  }

  #watch(fields: Fields): Response {
    const { after, progressMs = 5000 } = this.#options
    const body = watchStream(fieldsOf(fields.create_request, "create_request"), {
      history: this.#history,
      header: () => this.#header(),
      after,
      progressMs,
      signal: this.#end.signal,
    })
    return new Response(body, { headers: { "content-type": "application/json" } })
  }

  #header(): object {
    return { ...HEADER, revision: String(this.#history.revision) }
  }
}

/** The whole body. @throws Refusal when it is longer than etcd would take */
async function bodyOf(request: Request): Promise<string> {
  const decoder = new TextDecoder()
  let text = ""
  let total = 0
  const reader = request.body?.getReader()
  for (;;) {
    const chunk = await reader?.read()
    if (chunk === undefined || chunk.done) return text + decoder.decode()
    total += chunk.value.length
    if (total > MAX_REQUEST_BYTES) {
      await reader?.cancel()
      throw new Refusal(INVALID_ARGUMENT, "etcdserver: request is too large")
    }
    text += decoder.decode(chunk.value, { stream: true })
  }
}

function refused(error: unknown): Response {
  const code = error instanceof Refusal ? error.code : INVALID_ARGUMENT
  if (!(error instanceof Refusal) && !(error instanceof LariatError)) throw error
  const message = messageOf(error)
  return Response.json({ error: message, message, code }, { status: statusOf(code) })
}

/** As the gateway maps codes to statuses (grpc-gateway, runtime/errors.go). */
function statusOf(code: number): number {
  if (code === NOT_FOUND) return 404
  return code === UNIMPLEMENTED ? 501 : 400
}

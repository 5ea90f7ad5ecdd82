/**
 * A small etcd of one member, in memory, behind a fetch handler: as much of the v3 JSON gateway as
 * {@link EtcdStore} speaks. For the demo, where no etcd is installed; everything is gone with the
 * process.
 */

import * as z from "zod/mini"
import type { Cancel } from "../../cluster/store/dependencies.ts"
import { base64, count, id, reader } from "../../cluster/store/etcd/messages.ts"
import { read } from "../../config/value_schema.ts"
import { messageOf } from "../../errors.ts"
import { type ByteRange, inRange, type KeyEvent, KeyLog } from "./key_log.ts"

/** One cluster, one member, elected once. */
const HEADER = { cluster_id: "1", member_id: "1", raft_term: "1" }
/** google/rpc/code.proto: INVALID_ARGUMENT, the reason for whatever is refused here. */
const REFUSED = 3

const bytes = read(base64, atob)
/** `key` and `range_end`: absent, the key alone; a zero byte, all that follow. */
const range = { key: bytes, range_end: bytes }
const compare = z.object({
  key: bytes,
  target: z.enum(["MOD", "LEASE", "VALUE"]),
  mod_revision: count,
  lease: id,
  value: bytes,
})
const operation = z.object({
  request_put: z.optional(z.object({ key: bytes, value: bytes, lease: id })),
  request_delete_range: z.optional(z.object({ key: bytes })),
})
const operations = z._default(z.array(operation), [])
const readRange = reader(z.object({ ...range, revision: count }))
const readTxn = reader(
  z.object({
    compare: z._default(z.array(compare), []),
    success: operations,
    failure: operations,
  }),
)
const readWatch = reader(
  z.object({ create_request: z.object({ ...range, start_revision: count }) }),
)
const readLease = reader(z.object({ ID: id, TTL: count }))

interface Lease {
  readonly seconds: number
  cancel: Cancel
}

export class EtcdGateway {
  readonly #after: (ms: number, call: () => void) => Cancel
  readonly #log = new KeyLog()
  readonly #leases = new Map<string, Lease>()
  readonly #end = new AbortController()
  #lastLease = 0
  readonly #calls: Readonly<Record<string, (body: unknown) => object>> = {
    "/v3/kv/range": (body) => this.#range(readRange(body)),
    "/v3/kv/txn": (body) => this.#txn(readTxn(body)),
    "/v3/lease/grant": (body) => this.#grant(Math.max(1, readLease(body).TTL)),
    "/v3/lease/keepalive": (body) => this.#keepAlive(readLease(body).ID),
    "/v3/lease/revoke": (body) => this.#revoke(readLease(body).ID),
    "/v3/maintenance/status": () => ({ version: "3.5.0", leader: HEADER.member_id }),
  }

  /** @param after calls once after so many milliseconds */
  constructor(after: (ms: number, call: () => void) => Cancel) {
    this.#after = after
  }

  /**
   * Answers one request. A watch ends when its body is cancelled, which servers do when a client
   * has gone.
   */
  readonly fetch = async (request: Request): Promise<Response> => {
    const { pathname } = new URL(request.url)
    try {
      const body: unknown = await request.json()
      if (pathname === "/v3/watch") return new Response(this.#watch(readWatch(body)))
      const call = Object.hasOwn(this.#calls, pathname) ? this.#calls[pathname] : undefined
      if (call === undefined) throw new Error(`${pathname} is not served here`)
      return Response.json({ header: this.#header(), ...call(body) })
    } catch (error) {
      return Response.json({ message: messageOf(error), code: REFUSED }, { status: 400 })
    }
  }

  /** Ends watches and forgets leases. */
  close(): void {
    this.#end.abort()
    for (const { cancel } of this.#leases.values()) cancel()
    this.#leases.clear()
  }

  #header(): object {
    return { ...HEADER, revision: String(this.#log.revision) }
  }

  /** All of it at once, whatever the limit. */
  #range({ revision, ...where }: ReturnType<typeof readRange>): object {
    const found = this.#log.range(rangeOf(where), revision === 0 ? undefined : revision)
    return { kvs: found.map(kvOf) }
  }

  #txn({ compare, success, failure }: ReturnType<typeof readTxn>): object {
    const succeeded = compare.every((one) => this.#holds(one))
    this.#log.write((succeeded ? success : failure).map((one) => this.#writeOf(one)))
    return { header: this.#header(), succeeded }
  }

  #holds({ key, target, mod_revision, lease, value }: z.output<typeof compare>): boolean {
    const found = this.#log.get(key)
    if (target === "MOD") return (found?.revision ?? 0) === mod_revision
    return target === "LEASE" ? (found?.lease ?? "0") === lease : found?.value === value
  }

  #writeOf({
    request_put: put,
    request_delete_range: removed,
  }: z.output<typeof operation>): Omit<KeyEvent, "revision"> {
    if (put === undefined) return { key: removed?.key ?? "", value: undefined, lease: "0" }
    if (put.lease !== "0" && !this.#leases.has(put.lease)) {
      throw new Error("etcdserver: requested lease not found")
    }
    return put
  }

  #grant(seconds: number): object {
    const ID = String(++this.#lastLease)
    this.#leases.set(ID, { seconds, cancel: this.#expire(ID, seconds) })
    return { ID, TTL: String(seconds) }
  }

  #keepAlive(ID: string): object {
    const lease = this.#leases.get(ID)
    // proto3 JSON leaves out what is zero: a lease that is lost.
    if (lease === undefined) return { result: { ID } }
    lease.cancel()
    lease.cancel = this.#expire(ID, lease.seconds)
    return { result: { ID, TTL: String(lease.seconds) } }
  }

  #revoke(ID: string): object {
    this.#leases.get(ID)?.cancel()
    this.#leases.delete(ID)
    const keys = this.#log.range({ first: "", end: "" }).filter(({ lease }) => lease === ID)
    this.#log.write(keys.map(({ key }) => ({ key, value: undefined, lease: "0" })))
    return {}
  }

  #expire(ID: string, seconds: number): Cancel {
    return this.#after(seconds * 1000, () => this.#revoke(ID))
  }

  /** The messages of one watch, a line each: what was written since `start_revision`, then what is. */
  #watch({ create_request: request }: ReturnType<typeof readWatch>): ReadableStream<Uint8Array> {
    const range = rangeOf(request)
    const encoder = new TextEncoder()
    const { signal } = this.#end
    let end = () => {}
    return new ReadableStream<Uint8Array>({
      start: (controller) => {
        const send = (result: object) => {
          const line = JSON.stringify({ result: { header: this.#header(), ...result } })
          controller.enqueue(encoder.encode(`${line}\n`))
        }
        const tell = (events: readonly KeyEvent[]) => {
          const own = events.filter(({ key }) => inRange(range, key))
          if (own.length > 0) send({ events: own.map(eventOf) })
        }
        const unlisten = this.#log.listen(tell)
        const close = () => controller.close()
        signal.addEventListener("abort", close, { once: true })
        end = () => {
          unlisten()
          signal.removeEventListener("abort", close)
        }
        send({ created: true })
        tell(this.#log.since(range, request.start_revision))
      },
      cancel: () => end(),
    })
  }
}

function rangeOf({ key, range_end: end }: { key: string; range_end: string }): ByteRange {
  return { first: key, end: end === "" ? undefined : end === "\0" ? "" : end }
}

/** `mvccpb.KeyValue` */
function kvOf({ key, value = "", revision }: KeyEvent): object {
  return { key: btoa(key), mod_revision: String(revision), value: btoa(value) }
}

/** `mvccpb.Event` */
function eventOf(event: KeyEvent): object {
  return { type: event.value === undefined ? "DELETE" : "PUT", kv: kvOf(event) }
}

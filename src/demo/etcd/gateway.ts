/**
 * A small etcd of one member, in memory, behind a fetch handler: as much of the v3 JSON gateway as
 * {@link EtcdStore} speaks. For the demo, where no etcd is installed; everything is gone with the
 * process.
 */

import type { Cancel } from "../../cluster/store/dependencies.ts"
import {
  countField,
  type Fields,
  fieldsOf,
  idField,
  listField,
  parseFields,
  stringField,
} from "../../cluster/store/etcd/codec.ts"
import { messageOf } from "../../errors.ts"
import { type ByteRange, type ByteText, inRange, type KeyEvent, KeyLog } from "./key_log.ts"

/** One cluster, one member, elected once. */
const HEADER = { cluster_id: "1", member_id: "1", raft_term: "1" }
/** google/rpc/code.proto: INVALID_ARGUMENT, the reason for whatever is refused here. */
const REFUSED = 3

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
  readonly #calls: Readonly<Record<string, (fields: Fields) => object>> = {
    "/v3/kv/range": (fields) => this.#range(fields),
    "/v3/kv/txn": (fields) => this.#txn(fields),
    "/v3/lease/grant": (fields) => this.#grant(Math.max(1, countField(fields, "TTL"))),
    "/v3/lease/keepalive": (fields) => this.#keepAlive(idField(fields, "ID")),
    "/v3/lease/revoke": (fields) => this.#revoke(idField(fields, "ID")),
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
      const fields = parseFields(await request.text(), "a request")
      if (pathname === "/v3/watch") {
        return new Response(this.#watch(fieldsOf(fields.create_request, "create_request")))
      }
      const call = Object.hasOwn(this.#calls, pathname) ? this.#calls[pathname] : undefined
      if (call === undefined) throw new Error(`${pathname} is not served here`)
      return Response.json({ header: this.#header(), ...call(fields) })
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
  #range(fields: Fields): object {
    const revision = countField(fields, "revision")
    const found = this.#log.range(rangeField(fields), revision === 0 ? undefined : revision)
    return { kvs: found.map(kvOf) }
  }

  #txn(fields: Fields): object {
    const succeeded = listField(fields, "compare").every((compare) => this.#holds(compare))
    const operations = listField(fields, succeeded ? "success" : "failure")
    this.#log.write(operations.map((operation) => this.#writeOf(operation)))
    return { header: this.#header(), succeeded }
  }

  #holds(compare: Fields): boolean {
    const found = this.#log.get(bytesField(compare, "key"))
    switch (stringField(compare, "target")) {
      case "MOD":
        return (found?.revision ?? 0) === countField(compare, "mod_revision")
      case "LEASE":
        return (found?.lease ?? "0") === idField(compare, "lease")
      default:
        return found !== undefined && found.value === bytesField(compare, "value")
    }
  }

  #writeOf(operation: Fields): Omit<KeyEvent, "revision"> {
    if (operation.request_put === undefined) {
      const request = fieldsOf(operation.request_delete_range, "request_delete_range")
      return { key: bytesField(request, "key"), value: undefined, lease: "0" }
    }
    const request = fieldsOf(operation.request_put, "request_put")
    const lease = idField(request, "lease")
    if (lease !== "0" && !this.#leases.has(lease)) {
      throw new Error("etcdserver: requested lease not found")
    }
    return { key: bytesField(request, "key"), value: bytesField(request, "value"), lease }
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
  #watch(request: Fields): ReadableStream<Uint8Array> {
    const range = rangeField(request)
    const from = countField(request, "start_revision")
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
        tell(this.#log.since(range, from))
      },
      cancel: () => end(),
    })
  }
}

/** Bytes as the gateway writes them; absent: none. */
function bytesField(fields: Fields, name: string): ByteText {
  return atob(stringField(fields, name))
}

/** `key` and `range_end`: absent, the key alone; a zero byte, all that follow. */
function rangeField(fields: Fields): ByteRange {
  const end = bytesField(fields, "range_end")
  return { first: bytesField(fields, "key"), end: end === "" ? undefined : end === "\0" ? "" : end }
}

/** `mvccpb.KeyValue` */
function kvOf({ key, value = "", revision }: KeyEvent): object {
  return { key: btoa(key), mod_revision: String(revision), value: btoa(value) }
}

/** `mvccpb.Event` */
function eventOf(event: KeyEvent): object {
  return { type: event.value === undefined ? "DELETE" : "PUT", kv: kvOf(event) }
}

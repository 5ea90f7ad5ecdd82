/** Reads and transactions of the small etcd, as its JSON gateway takes them. */

import {
  countField,
  type Fields,
  fieldsOf,
  flagField,
  idField,
  listField,
  stringField,
} from "../../cluster/store/etcd/codec.ts"
import { LariatError } from "../../errors.ts"
import { byteField, keyField, kvOf, rangeField } from "./gateway_keys.ts"
import type { GatewayLeases } from "./gateway_leases.ts"
import type { HistoryWrite, KeyHistory } from "./key_history.ts"
import { INVALID_ARGUMENT, NOT_FOUND, OUT_OF_RANGE, Refusal } from "./refusal.ts"

/** etcd's --max-txn-ops. */
const MAX_OPERATIONS = 128

export class GatewayTransactions {
  readonly #history: KeyHistory
  readonly #leases: GatewayLeases

  constructor(history: KeyHistory, leases: GatewayLeases) {
    this.#history = history
    this.#leases = leases
  }

  /** `RangeRequest` to `RangeResponse`, without its header. @throws Refusal, LariatError decode */
  range(fields: Fields): object {
    const revision = countField(fields, "revision")
    const limit = countField(fields, "limit")
    const least = countField(fields, "min_mod_revision")
    const keysOnly = flagField(fields, "keys_only")
    if (revision > this.#history.revision) {
      throw new Refusal(OUT_OF_RANGE, "etcdserver: mvcc: required revision is a future revision")
    }
    if (revision > 0 && revision < this.#history.compacted) {
      throw new Refusal(OUT_OF_RANGE, "etcdserver: mvcc: required revision has been compacted")
    }
    const all = this.#history.range(rangeField(fields), revision === 0 ? undefined : revision)
    const fit = all.filter((each) => each.revision >= least)
    const some = limit === 0 ? fit : fit.slice(0, limit)
    return {
      ...(some.length === 0 ? {} : { kvs: some.map((each) => kvOf(each, keysOnly)) }),
      ...(some.length < fit.length ? { more: true } : {}),
      ...(all.length === 0 ? {} : { count: String(all.length) }),
    }
  }

  /** `TxnRequest` to `TxnResponse`, without its header. @throws Refusal, LariatError decode */
  txn(fields: Fields): object {
    const compares = listField(fields, "compare")
    const succeeded = compares.every((compare) => this.#holds(compare))
    const [success, failure] = [listField(fields, "success"), listField(fields, "failure")]
    if ([compares, success, failure].some(({ length }) => length > MAX_OPERATIONS)) {
      throw new Refusal(INVALID_ARGUMENT, "etcdserver: too many operations in txn request")
    }
    const operations = succeeded ? success : failure
    this.#write(operations)
    const responses = operations.map((operation) => this.#response(operation))
    return {
      ...(succeeded ? { succeeded } : {}),
      ...(responses.length === 0 ? {} : { responses }),
    }
  }

  #write(operations: readonly Fields[]): void {
    const writes = operations.flatMap((operation) => this.#writeOf(operation))
    try {
      this.#history.write(writes)
    } catch (error) {
      if (!(error instanceof LariatError)) throw error
      throw new Refusal(INVALID_ARGUMENT, "etcdserver: duplicate key given in txn request")
    }
  }

  #writeOf(operation: Fields): HistoryWrite[] {
    if (operation.request_delete_range !== undefined) {
      const request = fieldsOf(operation.request_delete_range, "request_delete_range")
      return [{ range: rangeField(request) }]
    }
    if (operation.request_put === undefined) return []
    const request = fieldsOf(operation.request_put, "request_put")
    const lease = idField(request, "lease")
    if (lease !== "0" && !this.#leases.has(lease)) {
      throw new Refusal(NOT_FOUND, "etcdserver: requested lease not found")
    }
    return [{ key: keyField(request), value: byteField(request, "value"), lease }]
  }

  #response(operation: Fields): object {
    if (operation.request_range !== undefined) {
      return { response_range: this.range(fieldsOf(operation.request_range, "request_range")) }
    }
    return operation.request_put === undefined
      ? { response_delete_range: {} }
      : { response_put: {} }
  }

  #holds(compare: Fields): boolean {
    if (stringField(compare, "result") !== "EQUAL" || compare.range_end !== undefined) {
      throw new Refusal(INVALID_ARGUMENT, "only EQUAL on one key is compared here")
    }
    const found = this.#history.get(keyField(compare))
    switch (stringField(compare, "target")) {
      case "MOD":
        return (found?.revision ?? 0) === countField(compare, "mod_revision")
      case "LEASE":
        return (found?.lease ?? "0") === idField(compare, "lease")
      case "VALUE":
        // A key that is not there has no value to compare (apply.go: applyCompare).
        return found !== undefined && found.value === byteField(compare, "value")
      default:
        throw new Refusal(INVALID_ARGUMENT, "only MOD, LEASE and VALUE are compared here")
    }
  }
}

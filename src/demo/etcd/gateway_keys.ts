/** Keys and values as etcd's JSON gateway writes them, to and from the bytes that they are. */

import { type Fields, stringField } from "../../cluster/store/etcd/codec.ts"
import type { ByteRange, ByteText, KeyVersion } from "./key_history.ts"
import { INVALID_ARGUMENT, Refusal } from "./refusal.ts"

/** Bytes; absent: none. @throws Refusal, LariatError decode */
export function byteField(fields: Fields, name: string): ByteText {
  try {
    return atob(stringField(fields, name))
  } catch (cause) {
    if (cause instanceof DOMException) throw new Refusal(INVALID_ARGUMENT, `${name} is no base64`)
    throw cause
  }
}

/** The key of a request. @throws Refusal where it is empty */
export function keyField(fields: Fields): ByteText {
  const key = byteField(fields, "key")
  if (key === "") throw new Refusal(INVALID_ARGUMENT, "etcdserver: key is not provided")
  return key
}

/** `key` and `range_end`: absent, the key alone; a zero byte, all that follow. @throws Refusal */
export function rangeField(fields: Fields): ByteRange {
  const first = keyField(fields)
  const end = byteField(fields, "range_end")
  return { first, end: end === "" ? undefined : end === "\0" ? "" : end }
}

/** `mvccpb.KeyValue`; what is zero or empty is left out. */
export function kvOf(version: KeyVersion, keysOnly = false): object {
  const { key, value = "", created, revision, lease } = version
  const counts =
    created === 0 ? {} : { create_revision: String(created), version: String(version.version) }
  return {
    key: btoa(key),
    ...counts,
    mod_revision: String(revision),
    ...(value === "" || keysOnly ? {} : { value: btoa(value) }),
    ...(lease === "0" ? {} : { lease }),
  }
}

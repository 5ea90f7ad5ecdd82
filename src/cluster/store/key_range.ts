/** Which keys begin with a text. */

const HIGHEST_BYTE = 0xff
const encoder = new TextEncoder()

/** Keys from `first` up to `end`, which is not one of them; an empty `end`: all that follow. */
export interface KeyRange {
  readonly first: Uint8Array
  readonly end: Uint8Array
}

/** The range of all keys that begin with the prefix; of all keys when it is empty. */
export function prefixRange(prefix: string): KeyRange {
  const first = encoder.encode(prefix)
  let length = first.length
  // UTF-8 has no such byte; kept right for whatever stands in `first`.
  while (length > 0 && first[length - 1] === HIGHEST_BYTE) length--
  const end = first.slice(0, length)
  if (length > 0) end[length - 1] = (end[length - 1] ?? 0) + 1
  return { first, end }
}

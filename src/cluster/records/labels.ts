/** The labels of hosts and containers as they go through the store: bounded. */

import * as z from "zod/mini"
import { map } from "./record_body.ts"

/** The most labels of one record. */
export const MAX_LABELS = 256
/** The most characters of a label's key, and of its value. */
const MAX_LABEL_KEY = 256
const MAX_LABEL_VALUE = 8192
/** The most bytes of all labels as JSON: an envelope has 64 KiB, and holds more than labels. */
export const MAX_LABEL_BYTES = 48 * 1024

/** The labels of a record. */
export const labels = map(MAX_LABELS, z.string().check(z.maxLength(MAX_LABEL_VALUE)), MAX_LABEL_KEY)

/**
 * What other hosts are told of a record's labels: all of them in nearly every case. Where they are
 * too many the first ones by key, and none that is too long: a container must not be unknown to
 * other hosts because somebody put a file into a label.
 */
export function fitLabels(
  labels: Readonly<Record<string, string>>,
): Readonly<Record<string, string>> {
  const fitting: [string, string][] = []
  let bytes = 2
  for (const [key, value] of Object.entries(labels).sort(([a], [b]) => (a < b ? -1 : 1))) {
    if (key.length > MAX_LABEL_KEY || value.length > MAX_LABEL_VALUE) continue
    const size = Buffer.byteLength(JSON.stringify(key) + JSON.stringify(value)) + 2
    if (fitting.length === MAX_LABELS || bytes + size > MAX_LABEL_BYTES) continue
    bytes += size
    fitting.push([key, value])
  }
  return Object.fromEntries(fitting)
}

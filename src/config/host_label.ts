/** `__host_label__:NAME` values of `cni_config`: each host puts its own label in their place. */

import type { Step } from "./diagnostic.ts"
import { isMap } from "./value_schema.ts"

const KEYWORD = "__host_label__:"

/**
 * A copy of a configuration with the labels in place. Maps are searched, lists are not, as in the
 * original; a label that the host does not have gives the empty text.
 *
 * @param missing is told of each label that the host does not have, and where it is wanted
 */
export function resolveHostLabels(
  conf: Readonly<Record<string, unknown>>,
  labels: Readonly<Record<string, string>>,
  missing: (label: string, path: readonly Step[]) => void,
  path: readonly Step[] = [],
): Record<string, unknown> {
  const entries = Object.entries(conf).map(([key, value]): [string, unknown] => {
    const here = [...path, key]
    if (typeof value === "string" && value.startsWith(KEYWORD)) {
      const label = value.slice(KEYWORD.length).trim()
      if (Object.hasOwn(labels, label)) return [key, labels[label] ?? ""]
      missing(label, here)
      return [key, ""]
    }
    return [key, isMap(value) ? resolveHostLabels(value, labels, missing, here) : value]
  })
  return Object.fromEntries(entries)
}

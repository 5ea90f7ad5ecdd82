/** The small number that a network has on every host: part of SPIs and interface ids. */

import { LariatError } from "../../errors.ts"
import type { Store } from "../store/store.ts"

/** An SPI has four bits for it. */
const MAX_NETWORKS = 16
/** Each attempt means that another host took the same number at the same moment. */
const MAX_ATTEMPTS = 2 * MAX_NETWORKS

/**
 * The network's number, claimed for the cluster where no host has done so yet. The same network
 * gets the same number for good, whoever asks first.
 *
 * @param prefix where the numbers stand, ending in `/`: the value of `<prefix><number>` is the name
 * @throws LariatError `store-away`; `config-invalid` when the cluster has 16 networks already
 */
export async function networkNumber(store: Store, prefix: string, name: string): Promise<number> {
  for (let attempt = 0; attempt < MAX_ATTEMPTS; attempt++) {
    const { entries } = await store.list(prefix)
    const taken = new Map(
      entries.map(({ key, value }) => [Number(key.slice(prefix.length)), value]),
    )
    const [mine] = [...taken].filter(([, owner]) => owner === name).sort(([a], [b]) => a - b)
    if (mine !== undefined) return mine[0]
    const free = Array.from({ length: MAX_NETWORKS }, (_, number) => number).find(
      (number) => !taken.has(number),
    )
    if (free === undefined) {
      throw new LariatError(
        `Cannot carry the network ${name} between hosts: the cluster has ${MAX_NETWORKS} networks already (${[...taken.values()].join(", ")})`,
        { code: "config-invalid", hint: "use one of those names, or another cluster name" },
      )
    }
    const key = `${prefix}${free}`
    await store.commit([{ key, revision: 0 }], [{ key, value: name }])
  }
  throw new LariatError(`Cannot number the network ${name}: other hosts were quicker each time`, {
    code: "busy",
    hint: "try again",
  })
}

/** The real world for stores under test. */
import type { Surroundings } from "../../src/cluster/surroundings.ts"
import { secureFetch } from "../../src/sys/fetch.ts"
import { type Certificates, clientTls } from "./certificates.ts"

/** Network, clock and chance as the agent gives them to a store. */
export function realWorld(certificates?: Certificates): Surroundings {
  return {
    fetch: secureFetch(certificates === undefined ? {} : clientTls(certificates)),
    now: () => performance.now(),
    after: (ms, call) => {
      const timer = setTimeout(call, ms)
      return { cancel: () => clearTimeout(timer) }
    },
    random: Math.random,
  }
}

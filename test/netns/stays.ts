/**
 * Stays in a container's namespace after ten idle seconds, when the engine has ended its compiler's
 * threads and makes new ones. Prints those that were born inside. Run by stays.test.ts.
 */
import { openContainer } from "../../src/endpoint/container_end.ts"
import { announceOnChange } from "../../src/endpoint/ipv6.ts"
import type { PortSpec } from "../../src/endpoint/port.ts"
import { createNetns } from "../../src/sys/netns/netns.ts"
import { strayThreads } from "../../src/sys/stray_threads.ts"
import { requireTestNetns } from "./guard.ts"

const IDLE_MS = 11_000
const STAYS = 500

requireTestNetns()
const spec = { ifname: "lo", addresses: ["10.0.0.1/24", "fd00::1/64"] } as unknown as PortSpec
const netns = createNetns()
openContainer(netns, spec).close()
await new Promise((resolve) => setTimeout(resolve, IDLE_MS))
let garbage: unknown[] = []
for (let stay = 0; stay < STAYS; stay++) {
  openContainer(netns, spec).close()
  announceOnChange(netns, "lo")
  createNetns().close()
  // Work for the collector.
  garbage = Array.from({ length: 200 }, (_, at) => ({ at, text: `${stay}` }))
}
const strays = strayThreads().map(({ name }) => name)
console.log(JSON.stringify({ garbage: garbage.length, strays }))
process.exit(0)

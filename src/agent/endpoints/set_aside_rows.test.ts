import { expect, test } from "bun:test"
import { parseNetconf } from "../../config/netconf/parse.ts"
import type { AgentContext } from "../context.ts"
import { Health } from "../health.ts"
import { row } from "../networks/endpoint_index.test.ts"
import { EndpointIndex } from "../networks/endpoint_index.ts"
import { Networks } from "../networks/networks.ts"
import { Unrecorded } from "../networks/unrecorded.ts"
import type { SetAsideRow } from "../state/set_aside.ts"
import { StateDatabase } from "../state/state_database.ts"
import { holdSetAside } from "./set_aside_rows.ts"

const ADDRESS = "10.42.0.2"

/** A context whose database set a row aside, with a kernel that has some links. */
function fixture(aside: Readonly<Record<string, unknown>>) {
  const stateDatabase = StateDatabase.open(":memory:", { bootId: "b" })
  const networks = new Networks({ stateDatabase, clock: () => 0, restMs: 1000 })
  const { conf } = parseNetconf({
    ...{ cniVersion: "1.0.0", type: "rancher-bridge", name: "n", bridgeSubnet: "10.42.0.0/29" },
  })
  const allocator = conf && networks.forNetconf(conf).allocator
  const key = { network: "n", container_id: "c", ifname: "eth0", boot_id: "b" }
  const source: SetAsideRow = {
    source: "endpoint",
    row: { ...key, ...aside, addresses: [{ address: ADDRESS }, { address: "10.42.0." }, 7] },
    why: "state is odd",
  }
  stateDatabase.setAside = () => [source]
  const links = new Set(["lrtc"])
  const kernel = { link: (name: string) => (links.has(name) ? { name } : undefined) }
  const [index, health] = [new EndpointIndex(), new Health()]
  const unrecorded = new Unrecorded(networks, index)
  const parts = { stateDatabase, networks, index, health, unrecorded, kernel, bootId: "b" }
  const context = parts as unknown as AgentContext
  const look = () => {
    unrecorded.look()
    return allocator?.stateOf(ADDRESS)
  }
  return { context, index, health, links, look }
}

test("an address of a row that was set aside is held while its link is there, and told of", () => {
  const { context, health, links, look } = fixture({ host_name: "lrtc" })
  holdSetAside(context)
  expect(health.problems().map(({ what }) => what)).toEqual([
    "1 rows of the state database cannot be read and were set aside: the endpoint of c/eth0: state is odd",
  ])
  expect([look(), look()]).toEqual(["given", "given"])
  links.clear()
  expect(look()).toBe("quarantined")
})

test("it is another row's to keep where one has it, and nobody's where its container is attached anew", () => {
  const taken = fixture({ host_name: "lrtc" })
  holdSetAside(taken.context)
  taken.index.put(row("c"))
  expect(taken.look()).toBe("given")
  taken.links.clear()
  expect(taken.look()).toBe("given")
  const anew = fixture({ host_name: "lrtc" })
  holdSetAside(anew.context)
  anew.index.put(row("c", { addresses: [] }))
  expect(anew.look()).toBe("quarantined")
})

test("of an earlier boot nothing is held, and where nothing is known all that is left of it", () => {
  const earlier = fixture({ boot_id: "a", host_name: "lrtc" })
  holdSetAside(earlier.context)
  expect(earlier.look()).toBe("quarantined")
  const unknown = fixture({ boot_id: 7, host_name: null })
  holdSetAside(unknown.context)
  expect(unknown.look()).toBe("given")
  const gone = fixture({ netns_path: "/run/netns/gone", netns_dev: "4", netns_ino: "5" })
  holdSetAside(gone.context)
  expect(gone.look()).toBe("quarantined")
})

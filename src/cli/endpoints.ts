import { askAgent } from "../agent/control/control_client.ts"
import type { EndpointReport } from "../agent/report.ts"
import { table } from "../table.ts"
import { show } from "./show.ts"

/** `lariat endpoints`: what is attached, one line each. */
export function endpoints(options: { readonly json?: boolean }): number {
  return show(askAgent("endpoints") as EndpointReport[], options, renderEndpoints)
}

/** The list for people. */
export function renderEndpoints(list: readonly EndpointReport[]): string {
  if (list.length === 0) return "nothing is attached"
  return table([
    ["NETWORK", "CONTAINER", "IFACE", "ADDRESSES", "MAC", "MTU", "LINK", "STATE", "NAME"],
    ...list.map((endpoint) => [
      endpoint.network,
      endpoint.containerId.slice(0, 12),
      endpoint.ifname,
      endpoint.addresses.join(","),
      endpoint.mac ?? "-",
      endpoint.mtu === null ? "-" : String(endpoint.mtu),
      endpoint.hostLink ?? "-",
      endpoint.kind === "port" ? endpoint.state : `${endpoint.state} (${endpoint.kind})`,
      endpoint.name,
    ]),
  ])
}

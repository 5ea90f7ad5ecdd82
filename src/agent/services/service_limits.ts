import type { AgentSettings } from "../../config/network.ts"
import type { ServiceLimits } from "../../firewall/limits.ts"
import { listenAddress } from "./service_address.ts"

/** What one source may ask of metadata and DNS, and where they listen. */
export function serviceLimits({
  metadataListen,
  dnsListen,
  limits,
}: Pick<AgentSettings, "metadataListen" | "dnsListen" | "limits">): ServiceLimits {
  const services = (text: string, protocols: readonly ("tcp" | "udp")[]) => {
    const { hostname, port } = listenAddress(text)
    return protocols.map((protocol) => ({ protocol, address: hostname, port }))
  }
  return {
    values: limits,
    services: [
      ...services(metadataListen, ["tcp"]),
      ...(dnsListen === "none" ? [] : services(dnsListen, ["udp", "tcp"])),
    ],
  }
}

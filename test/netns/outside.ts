/** A world outside of the host: a namespace behind a cable, that knows no container network. */
import { run } from "../clients/program.ts"
import { ipIn, type Lab } from "./lab.ts"

/** Documentation addresses (RFC 5737, RFC 3849). */
export const OUTSIDE_IP = "203.0.113.1"
export const HOST_IP = "203.0.113.2"
export const OUTSIDE_IP6 = "2001:db8::1"
export const HOST_IP6 = "2001:db8::2"

/** Name of the namespace, and of the link in it. */
export const OUTSIDE = "outside"
export const OUTSIDE_LINK = "cable"

/** Makes the namespace and the cable; the host's default routes lead there. */
export async function wireOutside(lab: Lab): Promise<void> {
  await lab.netns(OUTSIDE)
  const peer = ["type", "veth", "peer", "name", OUTSIDE_LINK, "netns", OUTSIDE]
  await run(["ip", "link", "add", "uplink", ...peer])
  for (const name of ["lo", OUTSIDE_LINK]) await ipIn(OUTSIDE, "link", "set", name, "up")
  await run(["ip", "link", "set", "uplink", "up"])
  await ipIn(OUTSIDE, "address", "add", `${OUTSIDE_IP}/24`, "dev", OUTSIDE_LINK)
  await ipIn(OUTSIDE, "address", "add", `${OUTSIDE_IP6}/64`, "dev", OUTSIDE_LINK, "nodad")
  await run(["ip", "address", "add", `${HOST_IP}/24`, "dev", "uplink"])
  await run(["ip", "address", "add", `${HOST_IP6}/64`, "dev", "uplink", "nodad"])
  await run(["ip", "route", "add", "default", "via", OUTSIDE_IP])
  await run(["ip", "-6", "route", "add", "default", "via", OUTSIDE_IP6])
}

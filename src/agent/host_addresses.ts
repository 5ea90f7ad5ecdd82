import { type Family, parseAddress, parsePrefix, prefixContains } from "../core/address.ts"
import type { Kernel } from "../endpoint/kernel.ts"
import { messageOf } from "../errors.ts"
import type { AgentContext } from "./context.ts"

const PROBLEM = "host/address"

/** Addresses that no host has (RFC 5737, RFC 3849): the route to one is the default route. */
const SOMEWHERE = { 4: "198.51.100.1", 6: "2001:db8::1" } as const

/** Loopback (RFC 1122, RFC 4291), and what is link-local (RFC 3927): nobody elsewhere answers to it. */
const NOWHERE_ELSE = ["127.0.0.0/8", "169.254.0.0/16", "::1/128", "fe80::/10"].map(parsePrefix)

/**
 * The source of what this host sends to other hosts: by its default route, and an address that they
 * can answer to.
 *
 * @param managed subnets of networks that this agent makes: an own address there is inside of what
 *   is to be carried
 */
export function sourceAddress(
  kernel: Pick<Kernel, "routeTo">,
  family: Family,
  managed: readonly { readonly cidr: string }[],
): string | undefined {
  const source = kernel.routeTo(SOMEWHERE[family])?.preferredSource
  if (source === undefined) return undefined
  const address = parseAddress(source)
  if (NOWHERE_ELSE.some((prefix) => prefixContains(prefix, address))) return undefined
  return managed.some(({ cidr }) => prefixContains(parsePrefix(cidr), address)) ? undefined : source
}

/** What it works with. */
export type HostWatch = Pick<AgentContext, "host" | "health" | "metadata" | "cluster" | "log">

/**
 * Looks at which addresses other hosts reach this one, which change under a running agent, or come
 * after its start (DHCP, PPPoE): peers, metadata and `status` follow. Never fails: the regular check
 * looks again.
 */
export function lookAtHost(watch: HostWatch): void {
  try {
    look(watch)
  } catch (error) {
    watch.health.raise(PROBLEM, {
      severity: "warning",
      what: `it cannot be told where other hosts reach this one: ${messageOf(error)}`,
      hint: "it is tried again every few seconds; else set hostIp in agent.yml",
    })
  }
}

function look({ host, health, metadata, cluster, log }: HostWatch): void {
  const before = host.addresses.join(", ")
  const isMoved = host.look()
  if (host.hasRoute || cluster === undefined) health.clear(PROBLEM)
  else {
    health.raise(PROBLEM, {
      severity: "warning",
      what:
        before === ""
          ? "this host has no address that leads to other hosts yet"
          : `no route leads to other hosts: ${before} is kept until there is another address`,
      hint: "connect the host, or set hostIp in agent.yml",
    })
  }
  if (!isMoved) return
  const now = host.addresses.join(", ")
  log.info("other hosts reach this one at {now}, before at {before}", {
    now,
    before: before === "" ? "none" : before,
  })
  metadata.ownHost()
  cluster?.moved()
}

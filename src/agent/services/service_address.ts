/** The addresses that the host serves its containers on. */

import { networkInterfaces } from "node:os"
import type { AgentSettings } from "../../config/network.ts"
import { hostPrefix } from "../../core/address.ts"
import type { Kernel } from "../../endpoint/kernel.ts"
import { LariatError } from "../../errors.ts"
import { newAddress } from "../../netlink/route/addr.ts"
import { changeLink } from "../../netlink/route/link.ts"

/** The link that carries them: packets from any bridge reach it. */
const LOOPBACK = "lo"

/** Where a server listens. */
export interface ListenAddress {
  readonly hostname: string
  readonly port: number
}

/** Every address of this host, as the kernel writes it. */
export function hostAddresses(): string[] {
  return Object.values(networkInterfaces()).flatMap((list) =>
    (list ?? []).map(({ address }) => address),
  )
}

/** Whether an address means all of the host's. */
export function isWildcard(hostname: string): boolean {
  return /^[0.]+$|^[0:]+$/.test(hostname)
}

/** Puts an address on the host where it is not there; the loopback link is brought up for it. */
export function ensureHostAddress(kernel: Kernel, hostname: string): void {
  if (isWildcard(hostname) || hostAddresses().includes(hostname)) return
  const index = kernel.link(LOOPBACK)?.index
  if (index === undefined) return
  const prefix = hostPrefix(hostname)
  kernel.apply([changeLink(index, { up: true }), newAddress(index, prefix, { replace: true })])
}

/**
 * Splits `address:port` or `[address]:port`.
 *
 * @throws LariatError `config-invalid`
 */
export function listenAddress(text: string): ListenAddress {
  const match = /^(?:\[([0-9a-fA-F:]+)\]|([0-9.]+)):(\d{1,5})$/.exec(text)
  const hostname = match?.[1] ?? match?.[2]
  const port = Number(match?.[3])
  if (hostname === undefined || port > 65_535) {
    throw new LariatError(`Cannot listen on ${JSON.stringify(text)}: expected ADDRESS:PORT`, {
      code: "config-invalid",
      hint: "write 169.254.169.250:80 or [fd00::1]:80",
    })
  }
  return { hostname, port }
}

/** The addresses of this host that containers ask metadata and DNS at. */
export function servedAt({
  metadataListen,
  dnsListen,
}: Pick<AgentSettings, "metadataListen" | "dnsListen">): string[] {
  return [metadataListen, dnsListen]
    .filter((listen) => listen !== "none")
    .map((listen) => listenAddress(listen).hostname)
    .filter((hostname) => !isWildcard(hostname) && !isLoopback(hostname))
}

/** A container's own loopback is another one. */
function isLoopback(hostname: string): boolean {
  return hostname.startsWith("127.") || hostname === "::1"
}

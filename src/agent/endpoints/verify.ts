import { formatPrefix, parsePrefix } from "../../core/address.ts"
import { checkPort } from "../../endpoint/check_port.ts"
import { LariatError } from "../../errors.ts"
import { openNetns } from "../../sys/netns/netns.ts"
import type { AgentContext } from "../context.ts"
import type { EndpointKey } from "../networks/attach_request.ts"
import { prefixesOf, specOf } from "../networks/endpoint_spec.ts"

/** What a runtime believes an endpoint to be. */
export interface Expectation {
  readonly netnsPath: string
  /** With prefix length. */
  readonly addresses: readonly string[]
}

/**
 * Compares an endpoint with its row, with the kernel and with what the runtime believes.
 *
 * @returns the differences, one sentence each; empty when everything is as it was made
 * @throws LariatError `not-attached`, `netns-invalid`
 */
export function verify(context: AgentContext, key: EndpointKey, expected: Expectation): string[] {
  const row = context.index.get(key)
  if (row === undefined) {
    throw new LariatError(
      `Cannot check ${key.containerId}/${key.ifname}: it is not attached to network ${key.network}`,
      { code: "not-attached", hint: "attach it (CNI ADD)" },
    )
  }
  const differences: string[] = []
  const believed = new Set(expected.addresses.map((text) => formatPrefix(parsePrefix(text))))
  for (const address of prefixesOf(row)) {
    if (!believed.has(address)) differences.push(`prevResult lacks the address ${address}`)
  }
  const allocator = context.networks.get(row.pool)?.allocator
  for (const { address } of row.addresses) {
    if (allocator?.isRetired(address) === true) {
      differences.push(`${address} is of a block that is another host's now`)
    }
  }
  if (row.kind === "ipam") return differences
  const netns = openNetns(expected.netnsPath)
  try {
    if (row.netns !== undefined && (netns.dev !== row.netns.dev || netns.ino !== row.netns.ino)) {
      differences.push(`${expected.netnsPath} is another namespace than at attach`)
    }
    const spec = specOf(row)
    differences.push(
      ...checkPort(context.kernel, netns, {
        hostName: row.hostName ?? "",
        hostIndex: row.hostIndex,
        adopted: row.kind === "adopted",
        ifname: row.ifname,
        bridgeIndex: context.kernel.link(spec.bridge?.name ?? "")?.index ?? 0,
        mac: row.mac,
        mtu: row.mtu,
        addresses: prefixesOf(row),
        routes: spec.routes,
      }),
    )
    differences.push(...context.firewall.differences(spec.masquerade ? prefixesOf(row) : []))
  } finally {
    netns.close()
  }
  return differences
}

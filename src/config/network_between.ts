/** Checks between networks: what one takes, no other may take. */

import { type Prefix, parsePrefix, prefixesOverlap } from "../core/address.ts"
import type { Step } from "./diagnostic.ts"
import type { Position } from "./network.ts"
import type { BuiltNetwork } from "./network_build.ts"

/** A name or a subnet that one network takes, and no other may. */
interface Claim {
  readonly owner: BuiltNetwork
  readonly path: readonly Step[]
  readonly position: Position
}

/** Finds names and subnets that two networks want; the error is the later one's. */
export function checkBetween(networks: readonly BuiltNetwork[]): void {
  const names = new Map<string, Claim>()
  const confNames = new Map<string, Claim>()
  const subnets: { claim: Claim; prefix: Prefix; cidr: string }[] = []
  for (const owner of networks) {
    const claim = (path: readonly Step[]): Claim => ({
      owner,
      path,
      position: owner.positionOf(path),
    })
    const { network } = owner
    once(names, network.name, claim(["default_network", "name"]), "network name")
    for (const { file, conf } of owner.confs) {
      once(confNames, conf.name, claim(["cni_config", file, "name"]), "CNI configuration name")
    }
    for (const [index, { cidr }] of network.subnets.entries()) {
      const mine = claim(["default_network", "subnets", index, "network_address"])
      const prefix = parsePrefix(cidr)
      const other = subnets.find((candidate) => prefixesOverlap(candidate.prefix, prefix))
      if (other !== undefined) {
        const whose =
          other.claim.owner === owner ? "" : ` of network ${other.claim.owner.network.name}`
        const message = `subnet ${cidr} of network ${network.name} overlaps ${other.cidr}${whose}, ${placeOf(other.claim)}`
        owner.tell({ severity: "error", path: mine.path, message, hint: "give each its own range" })
      }
      subnets.push({ claim: mine, prefix, cidr })
    }
  }
}

function once(taken: Map<string, Claim>, name: string, claim: Claim, what: string): void {
  const before = taken.get(name)
  if (before === undefined) taken.set(name, claim)
  // Files of one driver are run one after the other: there the same name is only a remark.
  if (before === undefined || before.owner === claim.owner) return
  const message = `the ${what} ${name} is taken, ${placeOf(before)}`
  claim.owner.tell({ severity: "error", path: claim.path, message, hint: "choose another name" })
}

function placeOf({ position }: Claim): string {
  return `said in ${position.file}:${position.line}:${position.column}`
}

import type { DriverKind, Encapsulation } from "../../config/network.ts"
import type { Family } from "../../core/address.ts"
import { overheadOf } from "../../core/overhead.ts"
import { LariatError } from "../../errors.ts"

/** The smallest MTU that IPv4 demands of a link, bytes (RFC 791 §3.2). */
const MIN_IPV4_MTU = 68
/** The smallest MTU that IPv6 demands of a link, bytes (RFC 8200 §5). */
const MIN_IPV6_MTU = 1280

/** What decides a container link's MTU. Sizes in bytes. */
export interface LinkMtuInput {
  /** `mtu` of the netconf; 0 when it is not said. */
  readonly mtu: number
  /** `linkMTUOverhead`, or the LinkMTUOverhead of CNI_ARGS, which comes first. */
  readonly overhead: number | "auto"
  readonly driver: DriverKind
  /** Cipher and UDP of the ipsec driver. Default aes256gcm16 without UDP. */
  readonly encapsulation?: Pick<Encapsulation, "cipher" | "udp"> | undefined
  /** MTU of the route that carries the network to other hosts. */
  readonly underlay: number
  /** Family of the packets outside. Default 4. */
  readonly outerFamily?: Family | undefined
  /** Whether the network has an IPv6 subnet. */
  readonly ipv6: boolean
}

/** The MTU chosen, and what to tell the user about it. */
export interface LinkMtu {
  readonly mtu: number
  /** The largest MTU that the driver can carry. */
  readonly exact: number
  /** A remark when the explicit values waste bytes or cannot fit. */
  readonly advice: string | undefined
}

/**
 * Chooses the MTU for both ends of a container's veth pair: the underlay's MTU less the driver's
 * exact bytes. Explicit values are obeyed, and `advice` says what they cost.
 *
 * @throws LariatError `mtu-too-small` when no packet of the network's families would fit
 */
export function linkMtu(input: LinkMtuInput): LinkMtu {
  const outer = input.mtu > 0 ? input.mtu : input.underlay
  const exact = carriedMtu(input, outer)
  const mtu = input.overhead === "auto" ? exact : outer - input.overhead
  const least = input.ipv6 ? MIN_IPV6_MTU : MIN_IPV4_MTU
  if (mtu < least) {
    throw new LariatError(
      `Cannot choose a link MTU: ${outer} bytes less an overhead of ${outer - mtu} leave ${mtu}, and ${input.ipv6 ? "IPv6" : "IPv4"} needs ${least}`,
      { code: "mtu-too-small", hint: "raise mtu or lower linkMTUOverhead; auto is exact" },
    )
  }
  return { mtu, exact, advice: advise(input, outer, mtu, exact) }
}

/** Where a NAT is yet to be found, its bytes are kept free: containers do not learn a smaller MTU. */
function carriedMtu({ driver, encapsulation, outerFamily }: LinkMtuInput, outer: number): number {
  const options = { outer, family: outerFamily }
  if (driver !== "ipsec" || encapsulation === undefined) return overheadOf(driver, options).mtu
  const { cipher, udp } = encapsulation
  return overheadOf(driver, { ...options, cipher, udp: udp !== "none" }).mtu
}

function advise(
  input: LinkMtuInput,
  outer: number,
  mtu: number,
  exact: number,
): string | undefined {
  if (outer > input.underlay) {
    return `mtu ${outer} is more than the ${input.underlay} bytes that the route to other hosts carries: larger packets are lost`
  }
  if (mtu > exact) {
    return `link MTU ${mtu} is ${mtu - exact} bytes more than ${input.driver} can carry in ${outer}: linkMTUOverhead must be at least ${outer - exact}`
  }
  if (mtu < exact && input.driver !== "none") {
    return `linkMTUOverhead ${outer - mtu} gives a link MTU of ${mtu}; ${input.driver} needs ${outer - exact}, so ${exact} would fit: ${exact - mtu} bytes of each packet are wasted, "auto" is exact`
  }
  return undefined
}

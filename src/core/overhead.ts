/** What a data path takes from every packet, and the MTU that is left. */

import { LariatError } from "../errors.ts"
import {
  type Cipher,
  type EncapLayer,
  espBlock,
  frameOf,
  innerSize,
  type OverheadPart,
  packetSize,
} from "./encapsulation.ts"
import { wasmCore } from "./wasm.ts"

export type { Cipher } from "./encapsulation.ts"

/** The sum: `outer` = `mtu` + `overhead`, and the parts add up to `overhead`. All in bytes. */
export interface Overhead {
  readonly overhead: number
  /** The largest inner IP packet that fits. */
  readonly mtu: number
  /** In the order of the wire, then what cannot be filled. */
  readonly parts: OverheadPart[]
}

/** The largest IP packet: the length field of RFC 791 §3.1 has 16 bits. The loopback's MTU is more. */
const LARGEST_PACKET = 65_535

/** Every IPv4 link must carry a packet of 68 bytes (RFC 791 §3.2); the kernel refuses less. */
const SMALLEST_MTU = 68

/**
 * What a stack of encapsulations takes, line by line. VXLAN under ESP in transport mode is the
 * two layers ESP and VXLAN, in that order.
 *
 * @param layers outermost first
 * @param options.outer MTU of the underlay, bytes
 * @param options.family of the outer packet; default 4
 * @throws LariatError config-invalid where `outer` or Geneve's options are impossible;
 *   mtu-too-small where less than 68 bytes are left
 */
export function stackOverhead(
  layers: readonly EncapLayer[],
  options: { readonly outer: number; readonly family?: 4 | 6 },
): Overhead {
  const { outer, family = 4 } = options
  if (!Number.isSafeInteger(outer) || outer < 1) {
    throw new LariatError(`Cannot compute an MTU: the outer MTU is ${outer}, no count of bytes`, {
      code: "config-invalid",
      hint: "Give the MTU of the underlay, such as 1500",
    })
  }
  const core = wasmCore()
  const unusable: OverheadPart[] = []
  const leave = (what: string, bytes: number): void => {
    if (bytes > 0) unusable.push({ what, bytes })
  }
  leave("beyond the largest IP packet (RFC 791 §3.1)", outer - LARGEST_PACKET)

  const before: OverheadPart[] = []
  const after: OverheadPart[] = []
  let mtu = Math.min(outer, LARGEST_PACKET)
  /** Transport-mode headers, which stand behind the IP header of the layer within. */
  let behindIp: OverheadPart[] = []
  for (const layer of layers) {
    if (layer.kind === "geneve") checkGeneveOptions(layer.options)
    const frame = frameOf(core, layer, family)
    const inner = innerSize(core, layer, family, mtu)
    if (layer.kind === "esp") {
      const block = espBlock(core, layer.cipher)
      const filled = packetSize([layer], inner, family)
      leave(`ESP payload is whole blocks of ${block} (RFC 4303 §2.4)`, mtu - filled)
    }
    if (layer.kind === "esp" && layer.mode === "transport") {
      behindIp = [...behindIp, ...frame.before]
    } else {
      before.push(...frame.before.slice(0, 1), ...behindIp, ...frame.before.slice(1))
      behindIp = []
    }
    after.unshift(...frame.after)
    mtu = inner
  }
  const parts = [...before, ...behindIp, ...after, ...unusable]
  if (mtu < SMALLEST_MTU) throw tooSmall(outer, mtu)
  return { overhead: outer - mtu, mtu, parts }
}

function checkGeneveOptions(bytes: number): void {
  if (Number.isInteger(bytes) && bytes >= 0 && bytes <= 252 && bytes % 4 === 0) return
  throw new LariatError(
    `Cannot compute Geneve's overhead: its options are ${bytes} bytes, not a multiple of 4 up to 252`,
    { code: "config-invalid" },
  )
}

function tooSmall(outer: number, mtu: number): LariatError {
  const left = mtu > 0 ? `leaves ${mtu} bytes` : "does not even hold the headers"
  return new LariatError(
    `Cannot fit packets in an outer MTU of ${outer}: it ${left}, and IP needs ${SMALLEST_MTU}`,
    { code: "mtu-too-small", hint: "Raise the MTU of the underlay" },
  )
}

/** What {@link overheadOf} needs to know. */
export interface OverheadOptions {
  /** MTU of the underlay, bytes. */
  readonly outer: number
  /** Of the ipsec driver; the others have none and do not look at it. Default aes256gcm16. */
  readonly cipher?: Cipher | undefined
  /** Family of the outer packet; default 4. */
  readonly family?: 4 | 6 | undefined
  /** ESP in UDP, for NAT; of the ipsec driver alone. Default false. */
  readonly udp?: boolean | undefined
}

/**
 * The overhead of a driver's own encapsulation and the MTU it leaves.
 *
 * @throws LariatError as {@link stackOverhead}
 */
export function overheadOf(
  driver: "ipsec" | "vxlan" | "geneve" | "wireguard" | "routed" | "none",
  options: OverheadOptions,
): Overhead {
  const { outer, cipher = "aes256gcm16", family = 4, udp = false } = options
  return stackOverhead(layersOf(driver, cipher, udp), { outer, family })
}

function layersOf(
  driver: Parameters<typeof overheadOf>[0],
  cipher: Cipher,
  udp: boolean,
): EncapLayer[] {
  switch (driver) {
    case "ipsec":
      return [{ kind: "esp", mode: "tunnel", cipher, udp }]
    case "geneve":
      return [{ kind: "geneve", options: 0 }]
    case "vxlan":
    case "wireguard":
      return [{ kind: driver }]
    case "routed":
    case "none":
      return []
  }
}

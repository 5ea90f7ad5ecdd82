/**
 * Expressions of nftables rules as typed values, and short builders for them. A rule is a row of
 * expressions over registers: load something, compare it, and at the end give a verdict.
 */

import type { CMP_OPS, PAYLOAD_BASES } from "./constants.ts"
import * as n from "./constants.ts"

export type CmpOp = (typeof CMP_OPS)[number]
export type PayloadBase = (typeof PAYLOAD_BASES)[number]

/** Where a packet goes when its rule ends. */
export type Verdict =
  | { readonly code: "accept" | "drop" | "continue" | "return" }
  | { readonly code: "jump" | "goto"; readonly chain: string }

/** Matches what is over a limit. */
export type Limit =
  /** What comes in a second, beyond what may come at once: for bytes, so much beside a second's. */
  | {
      readonly kind: "rate-over"
      readonly of: "packets" | "bytes"
      readonly perSecond: number
      readonly burst: number
    }
  /** Connections that exist at once, in the kernel's list of connections. */
  | { readonly kind: "connections-over"; readonly count: number }

/** Bytes are in the order of the register they meet: addresses and ports in network order. */
export type Expression =
  | { readonly kind: "meta"; readonly key: number; readonly register: number }
  | {
      readonly kind: "payload"
      readonly base: PayloadBase
      readonly offset: number
      readonly length: number
      readonly register: number
    }
  | {
      readonly kind: "cmp"
      readonly op: CmpOp
      readonly value: Uint8Array
      readonly register: number
    }
  | {
      readonly kind: "range"
      readonly negate: boolean
      readonly from: Uint8Array
      readonly to: Uint8Array
      readonly register: number
    }
  | {
      /** target = (source & mask) ^ xor */
      readonly kind: "bitwise"
      readonly source: number
      readonly target: number
      readonly mask: Uint8Array
      readonly xor: Uint8Array
    }
  | {
      readonly kind: "lookup"
      readonly set: string
      readonly register: number
      readonly negate: boolean
      /** Where a map's value goes; 0 is the verdict. Undefined for sets. */
      readonly target?: number | undefined
      /** The number that a NEWSET of the same transaction bears; needed for anonymous sets. */
      readonly setId?: number | undefined
    }
  | { readonly kind: "immediate"; readonly register: number; readonly value: Uint8Array }
  | { readonly kind: "verdict"; readonly verdict: Verdict }
  | { readonly kind: "counter"; readonly packets: bigint; readonly bytes: bigint }
  | {
      readonly kind: "masquerade"
      readonly flags: number
      /** Registers that hold the first and the last port. */
      readonly ports?: { readonly min: number; readonly max: number } | undefined
    }
  | {
      readonly kind: "fib"
      readonly result: number
      readonly flags: number
      readonly register: number
    }
  /** Loads something about the packet's route. */
  | { readonly kind: "route"; readonly key: number; readonly register: number }
  | {
      /** Turns numbers of host order into network order. */
      readonly kind: "to-network"
      readonly register: number
      /** Bytes of all numbers together, and of each: 2 or 4. */
      readonly length: number
      readonly size: number
    }
  | {
      /** Writes a register into a TCP option; nothing happens where the packet has it not. */
      readonly kind: "set-tcp-option"
      readonly option: number
      readonly offset: number
      readonly length: number
      readonly register: number
    }
  | Limit
  | {
      /**
       * Adds the register to a set and asks the element's own limit: the rule goes on where that is
       * passed. Ends the rule where the set is full.
       */
      readonly kind: "limit-each"
      readonly set: string
      readonly register: number
      /** Whether an element's time begins anew with each packet. */
      readonly renew: boolean
      readonly limit: Limit
      /** The number that a NEWSET of the same transaction bears. */
      readonly setId?: number | undefined
    }
  /** An expression that this codec does not know, its bytes kept. */
  | { readonly kind: "other"; readonly name: string; readonly data: Uint8Array }

const encoder = new TextEncoder()

/** Loads something about the packet. @param key NFT_META_* */
export function meta(key: number, register = n.NFT_REG_1): Expression {
  return { kind: "meta", key, register }
}

/** Loads bytes of a header. */
export function payload(
  base: PayloadBase,
  offset: number,
  length: number,
  register = n.NFT_REG_1,
): Expression {
  return { kind: "payload", base, offset, length, register }
}

/** Ends the rule unless the register compares so. */
export function cmp(
  value: Uint8Array,
  options: { readonly op?: CmpOp; readonly register?: number } = {},
): Expression {
  return { kind: "cmp", op: options.op ?? "eq", value, register: options.register ?? n.NFT_REG_1 }
}

/** Ends the rule unless the register lies between two values, both included. */
export function range(
  from: Uint8Array,
  to: Uint8Array,
  options: { readonly negate?: boolean; readonly register?: number } = {},
): Expression {
  const { negate = false, register = n.NFT_REG_1 } = options
  return { kind: "range", negate, from, to, register }
}

/** Keeps some bits of a register. */
export function bitwiseAnd(mask: Uint8Array, register = n.NFT_REG_1): Expression {
  const xor = new Uint8Array(mask.byteLength)
  return { kind: "bitwise", source: register, target: register, mask, xor }
}

/** Ends the rule unless the register is in the set; loads the value where it is a map. */
export function lookup(
  set: string,
  options: {
    readonly register?: number
    readonly negate?: boolean
    readonly target?: number
    readonly setId?: number
  } = {},
): Expression {
  const { register = n.NFT_REG_1, negate = false, target, setId } = options
  return { kind: "lookup", set, register, negate, target, setId }
}

/** Loads a constant. */
export function immediate(register: number, value: Uint8Array): Expression {
  return { kind: "immediate", register, value }
}

/** Ends the rule with a verdict. */
export function verdict(value: Verdict): Expression {
  return { kind: "verdict", verdict: value }
}

/** Counts packets and bytes from zero. */
export function counter(): Expression {
  return { kind: "counter", packets: 0n, bytes: 0n }
}

/** Gives the connection the outgoing interface's address. @param flags NF_NAT_RANGE_* */
export function masquerade(
  flags: number,
  ports?: { readonly min: number; readonly max: number },
): Expression {
  return { kind: "masquerade", flags, ports }
}

/** Has a limit for each value of the register; the rule goes on where it is passed. */
export function limitEach(
  set: string,
  limit: Limit,
  options: { readonly renew?: boolean; readonly setId?: number } = {},
): Expression {
  const { renew = false, setId } = options
  return { kind: "limit-each", set, register: n.NFT_REG_1, renew, limit, setId }
}

/** Loads the type of an address (RTN_*, U32 in host byte order). @param flags NFTA_FIB_F_* */
export function addressType(flags: number, register = n.NFT_REG_1): Expression {
  return { kind: "fib", result: n.NFT_FIB_RESULT_ADDRTYPE, flags, register }
}

/** TCP's option "maximum segment size", RFC 9293 §3.2: kind, length, and at 2 the size. */
const TCP_OPTION_MSS = 2

/**
 * Lowers the maximum segment size that a SYN offers to what the packet's route and the way back
 * carry; the kernel never raises it. Packets of TCP only.
 */
export function clampMss(register = n.NFT_REG_1): Expression[] {
  return [
    { kind: "route", key: n.NFT_RT_TCPMSS, register },
    { kind: "to-network", register, length: 2, size: 2 },
    { kind: "set-tcp-option", option: TCP_OPTION_MSS, offset: 2, length: 2, register },
  ]
}

/** An interface name as registers and sets hold it: 16 bytes, filled with zeros. */
export function interfaceName(name: string): Uint8Array {
  const bytes = new Uint8Array(n.NFT_REG_SIZE)
  // The last byte stays zero (IFNAMSIZ of linux/if.h).
  bytes.set(encoder.encode(name).subarray(0, n.NFT_REG_SIZE - 1))
  return bytes
}

/** An interface's number as registers and sets hold it: host byte order. */
export function interfaceIndex(index: number): Uint8Array {
  return new Uint8Array(Uint32Array.of(index).buffer)
}

/** A port as registers hold it. */
export function port(number: number): Uint8Array {
  return Uint8Array.of(number >> 8, number & 0xff)
}

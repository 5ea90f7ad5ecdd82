/** The parts of the npm package dns-packet that the tests use; it has no types of its own. */
declare module "dns-packet" {
  /** A question. */
  export interface Question {
    readonly name: string
    readonly type: string
    readonly class?: string
  }

  /** A record; `data` depends on the type. */
  export interface ResourceRecord {
    readonly name: string
    readonly type: string
    readonly class?: string
    readonly ttl?: number
    readonly data?: unknown
    readonly udpPayloadSize?: number
    readonly extendedRcode?: number
    readonly ednsVersion?: number
    readonly flags?: number
    readonly options?: readonly unknown[]
  }

  /** A message. */
  export interface Packet {
    readonly type?: "query" | "response"
    readonly id?: number
    readonly flags?: number
    readonly rcode?: string
    readonly opcode?: string
    readonly flag_aa?: boolean
    readonly flag_tc?: boolean
    readonly flag_rd?: boolean
    readonly flag_ra?: boolean
    readonly questions?: readonly Question[]
    readonly answers?: readonly ResourceRecord[]
    readonly authorities?: readonly ResourceRecord[]
    readonly additionals?: readonly ResourceRecord[]
  }

  export function encode(packet: Packet): Uint8Array
  /** Reads a message; only a Buffer will do. */
  export function decode(bytes: Buffer): Packet
  export const RECURSION_DESIRED: number
  export const AUTHORITATIVE_ANSWER: number
  export const TRUNCATED_RESPONSE: number
}

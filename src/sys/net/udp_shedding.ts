/**
 * Has the kernel drop datagrams of single senders before they take a place in a socket's queue: a
 * program that drops them itself has read them first, while those of others found the queue full.
 */

import { addressOf, libc } from "../ffi/libc.ts"
import { SOL_SOCKET } from "./socket.ts"
import { AF_INET6, ipSocketAddress } from "./socket_address.ts"
import { udpSocketAt } from "./udp_descriptor.ts"

/** A sender, and the share of its datagrams that is let through, 0 to 1. */
export interface ShedSource {
  readonly address: string
  readonly keep: number
}

/** The queue of one socket. */
export interface Shedding {
  /** Datagrams that were dropped so far, for want of room or because of {@link shed}. */
  dropped(): number
  /** How full the queue is, 0 to 1. */
  fullness(): number
  /** Drops datagrams of these senders from now on, of at most {@link MAX_SOURCES}, and no others. */
  shed(sources: readonly ShedSource[]): void
}

const MAX_SOURCES = 16

// include/uapi/asm-generic/socket.h, include/uapi/linux/sock_diag.h
const SO_ATTACH_FILTER = 26
const SO_DETACH_FILTER = 27
const SO_MEMINFO = 55
const SK_MEMINFO_RMEM_ALLOC = 0
const SK_MEMINFO_RCVBUF = 1
const SK_MEMINFO_DROPS = 8
const SK_MEMINFO_VARS = 9

// include/uapi/linux/filter.h: where the IP header begins, and what the kernel knows beside.
const SKF_NET_OFF = 0xfff0_0000
const SKF_AD_OFF = 0xffff_f000
const SKF_AD_RANDOM = 56
// include/uapi/linux/bpf_common.h
const LOAD_BYTE = 0x30
const LOAD_WORD = 0x20
const AND = 0x54
const JUMP_EQUAL = 0x15
const JUMP_AT_LEAST = 0x35
const RETURN = 0x06
const WHOLE = 0xffff_ffff

/** Offset of the source in the IP header: RFC 791 §3.1, RFC 8200 §3. */
const SOURCE_OFFSET = { 4: 12, 16: 8 } as const

/** One instruction of classic BPF. */
type Instruction = readonly [code: number, jt: number, jf: number, k: number]

/**
 * The socket of this process that is bound to an address and port; undefined where there is none,
 * or this system does not tell of its queue.
 */
export function sheddingOf(hostname: string, port: number): Shedding | undefined {
  const fd = udpSocketAt(hostname, port)
  if (fd === undefined) return undefined
  const info = new Uint32Array(SK_MEMINFO_VARS)
  const bytes = new Uint8Array(info.buffer)
  const length = new Uint8Array(4)
  const read = (): boolean => {
    length[0] = bytes.length
    return libc.getsockopt(fd, SOL_SOCKET, SO_MEMINFO, bytes, length) === 0
  }
  if (!read()) return undefined
  return {
    dropped: () => (read() ? (info[SK_MEMINFO_DROPS] ?? 0) : 0),
    fullness: () =>
      read() ? (info[SK_MEMINFO_RMEM_ALLOC] ?? 0) / (info[SK_MEMINFO_RCVBUF] || 1) : 0,
    shed: (sources) => attach(fd, sources),
  }
}

/** A socket that refuses the filter only loses this protection: that is no reason to fail. */
function attach(fd: number, sources: readonly ShedSource[]): void {
  if (sources.length === 0) {
    libc.setsockopt(fd, SOL_SOCKET, SO_DETACH_FILTER, new Uint8Array(4), 4)
    return
  }
  const program = sheddingProgram(sources)
  const memory = new Uint8Array(new ArrayBuffer(16 + program.length * 8))
  const view = new DataView(memory.buffer)
  // struct sock_fprog: length, then the address of the instructions.
  view.setUint16(0, program.length, true)
  view.setBigUint64(8, BigInt(addressOf(memory) + 16), true)
  program.forEach(([code, jt, jf, k], index) => {
    const at = 16 + index * 8
    view.setUint16(at, code, true)
    view.setUint8(at + 2, jt)
    view.setUint8(at + 3, jf)
    view.setUint32(at + 4, k, true)
  })
  libc.setsockopt(fd, SOL_SOCKET, SO_ATTACH_FILTER, memory, 16)
}

/** Classic BPF that lets through all but what is to be shed. */
export function sheddingProgram(sources: readonly ShedSource[]): readonly Instruction[] {
  const blocks = sources.slice(0, MAX_SOURCES).flatMap(({ address, keep }) => {
    const { family, bytes } = ipSocketAddress(address, 0)
    const source = family === AF_INET6 ? bytes.subarray(8, 24) : bytes.subarray(4, 8)
    return blockOf(source, keep)
  })
  return [...blocks, [RETURN, 0, 0, WHOLE]]
}

function blockOf(source: Uint8Array, keep: number): Instruction[] {
  const view = new DataView(source.buffer, source.byteOffset, source.length)
  const words = source.length / 4
  const offset = SOURCE_OFFSET[source.length === 4 ? 4 : 16]
  const version = source.length === 4 ? 0x40 : 0x60
  /** How many instructions are behind one, to the end of the block. */
  const end = 2 * words + 4
  const block: Instruction[] = [
    [LOAD_BYTE, 0, 0, SKF_NET_OFF],
    [AND, 0, 0, 0xf0],
    [JUMP_EQUAL, 0, end, version],
  ]
  for (let word = 0; word < words; word++) {
    block.push([LOAD_WORD, 0, 0, SKF_NET_OFF + offset + 4 * word])
    block.push([JUMP_EQUAL, 0, end - 2 * word - 2, view.getUint32(4 * word)])
  }
  const least = Math.min(WHOLE, Math.max(0, Math.floor(keep * 2 ** 32)))
  block.push([LOAD_WORD, 0, 0, SKF_AD_OFF + SKF_AD_RANDOM])
  block.push([JUMP_AT_LEAST, 0, 1, least], [RETURN, 0, 0, 0], [RETURN, 0, 0, WHOLE])
  return block
}

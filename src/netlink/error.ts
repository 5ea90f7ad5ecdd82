/** What the kernel refuses through netlink, as an error. */

import { type ErrorCode, LariatError } from "../errors.ts"
import { ENOBUFS, EOPNOTSUPP, EPERM, errnoName, errnoText } from "../sys/ffi/errno.ts"
import { align, parseAttributes } from "./attribute.ts"
import {
  NLM_F_ACK_TLVS,
  NLM_F_CAPPED,
  NLMSG_ERROR,
  NLMSG_HDRLEN,
  NLMSGERR_ATTR_MSG,
} from "./constants.ts"
import type { Message } from "./message.ts"

/** The answer is not what the protocol promises (asm-generic/errno.h). */
export const EPROTO = 71

/**
 * "Cannot create veth lrt0abc: Unknown device type (EOPNOTSUPP)". Its code is `kernel`, or
 * `permission`, or `kernel-unsupported` where the number says so.
 */
export class NetlinkError extends LariatError {
  override readonly name = "NetlinkError"
  readonly errno: number
  readonly errnoName: string
  /** The kernel's own words (extended acknowledgement); empty when it gave none. */
  readonly extAck: string
  /** What was asked: "create veth lrt0abc". */
  readonly operation: string

  /**
   * @param options reason: what to say instead of the number's text; hint: default by number
   */
  constructor(
    operation: string,
    errno: number,
    options: { readonly extAck?: string; readonly reason?: string; readonly hint?: string } = {},
  ) {
    const extAck = options.extAck ?? ""
    const why = options.reason ?? (extAck === "" ? errnoText(errno) : extAck)
    super(`Cannot ${operation}: ${why} (${errnoName(errno)})`, {
      code: codeOf(errno),
      hint: options.hint ?? hintOf(errno),
    })
    this.errno = errno
    this.errnoName = errnoName(errno)
    this.extAck = extAck
    this.operation = operation
  }
}

function codeOf(errno: number): ErrorCode {
  if (errno === EPERM) return "permission"
  return errno === EOPNOTSUPP ? "kernel-unsupported" : "kernel"
}

function hintOf(errno: number): string | undefined {
  if (errno === EPERM) return "Run as root or with CAP_NET_ADMIN in this network namespace."
  if (errno === EOPNOTSUPP) return "Load the kernel module for it, or use a kernel that has it."
  if (errno === ENOBUFS) return "Read the state again: messages of the kernel were lost."
  return undefined
}

/**
 * Reads an NLMSG_ERROR or NLMSG_DONE message.
 *
 * @returns errno 0 for an acknowledgement of success, and the kernel's words, often empty
 * @throws LariatError code `decode`
 */
export function parseAck(message: Message): { readonly errno: number; readonly extAck: string } {
  const { flags, payload } = message
  // NLMSG_DONE of some dumps has no payload in old kernels; it means success.
  if (payload.byteLength === 0) return { errno: 0, extAck: "" }
  const errno = -int32(payload, 0)
  if ((flags & NLM_F_ACK_TLVS) === 0) return { errno, extAck: "" }
  const attributes = parseAttributes(payload.subarray(tlvOffset(message)))
  return { errno, extAck: attributes.text(NLMSGERR_ATTR_MSG) ?? "" }
}

/** struct nlmsgerr: int error, the request's header, its payload unless capped; DONE: an int. */
function tlvOffset({ type, flags, payload }: Message): number {
  const errorBytes = 4
  if (type !== NLMSG_ERROR) return errorBytes
  const capped = (flags & NLM_F_CAPPED) !== 0
  const request = capped ? NLMSG_HDRLEN : int32(payload, errorBytes)
  return errorBytes + Math.max(NLMSG_HDRLEN, align(request))
}

function int32(payload: Uint8Array, at: number): number {
  if (payload.byteLength < at + 4) {
    throw new LariatError("Cannot read an acknowledgement: it is cut", { code: "decode" })
  }
  return new DataView(payload.buffer, payload.byteOffset).getInt32(at, true)
}

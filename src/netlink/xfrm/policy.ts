/** Policies: which packets must go through which association, in or out. */

import { type Family, familyOf } from "../../core/address.ts"
import { familyNumber } from "../addr_codec.ts"
import { parseBody } from "../attribute.ts"
import { AF_INET6, NLM_F_CREATE, NLM_F_EXCL } from "../constants.ts"
import { type Message, MessageWriter } from "../message.ts"
import type { NetlinkSocket } from "../socket.ts"
import * as x from "./constants.ts"
import { tooShort } from "./state.ts"
import {
  putLifetimes,
  putSelector,
  putXfrmAddress,
  readSelector,
  readXfrmAddress,
  type Selector,
} from "./struct.ts"

/** Which way packets go: `fwd` is for those that come in and go on to somebody else. */
export type Direction = "in" | "out" | "fwd"

const DIRECTIONS = { in: x.XFRM_POLICY_IN, out: x.XFRM_POLICY_OUT, fwd: x.XFRM_POLICY_FWD } as const
const NAMES: readonly Direction[] = ["in", "out", "fwd"]

/** The tunnel that packets must go, or have come, through. */
export interface Template {
  readonly source: string
  readonly destination: string
  readonly reqid: number
  /** A certain association; 0: any of the reqid. */
  readonly spi: number
}

/** Names a policy. */
export interface PolicyId extends Selector {
  readonly direction: Direction
  readonly ifId?: number | undefined
}

/** A policy: a tunnel, or "block", or "allow" for packets in clear. */
export interface Policy extends PolicyId {
  /** Lower comes first. */
  readonly priority: number
  readonly action: Template | "block" | "allow"
}

/** A policy that the kernel has. */
export type PolicyInfo = Policy & { readonly ifId: number }

/** The message that makes a policy; EEXIST when there is one of that selector. */
export function newPolicy(policy: Policy): MessageWriter {
  return policyMessage(x.XFRM_MSG_NEWPOLICY, NLM_F_CREATE | NLM_F_EXCL, "add", policy)
}

/** The message that makes a policy, or in one step puts it in place of the one of that selector. */
export function replacePolicy(policy: Policy): MessageWriter {
  return policyMessage(x.XFRM_MSG_UPDPOLICY, 0, "set", policy)
}

/** The message that deletes a policy; ENOENT when there is none. */
export function deletePolicy(policy: PolicyId): MessageWriter {
  const writer = new MessageWriter(x.XFRM_MSG_DELPOLICY, 0, {
    operation: `delete the policy ${textOf(policy)}`,
  })
  putSelector(writer, policy)
  writer.u32(0).u8(DIRECTIONS[policy.direction]).zeros(3)
  if (policy.ifId !== undefined) writer.attrU32(x.XFRMA_IF_ID, policy.ifId)
  return writer
}

/** Every policy of the namespace, but those of single sockets. @throws NetlinkError */
export function listPolicies(socket: Pick<NetlinkSocket, "dump">): PolicyInfo[] {
  const writer = new MessageWriter(x.XFRM_MSG_GETPOLICY, 0, { operation: "list policies" })
  return socket.dump(writer).flatMap((message) => {
    const policy = message.type === x.XFRM_MSG_NEWPOLICY ? decodePolicy(message) : undefined
    return policy === undefined ? [] : [policy]
  })
}

/** Reads XFRM_MSG_NEWPOLICY; undefined for a socket's own. @throws LariatError `decode` */
export function decodePolicy({ payload }: Pick<Message, "payload">): PolicyInfo | undefined {
  const { header, attributes } = parseBody(payload, x.XFRM_USERPOLICY_INFO_BYTES, "a policy")
  const direction = NAMES[header.getUint8(160)]
  if (direction === undefined) return undefined
  const template = attributes.get(x.XFRMA_TMPL)
  const clear = header.getUint8(161) === x.XFRM_POLICY_BLOCK ? "block" : "allow"
  return {
    ...readSelector(header, 0),
    direction,
    priority: header.getUint32(152, true),
    ifId: attributes.u32(x.XFRMA_IF_ID) ?? 0,
    action: template === undefined ? clear : readTemplate(template),
  }
}

function policyMessage(type: number, flags: number, verb: string, policy: Policy): MessageWriter {
  const { action, priority, direction, ifId } = policy
  const writer = new MessageWriter(type, flags, {
    operation: `${verb} the policy ${textOf(policy)}`,
  })
  putSelector(writer, policy)
  putLifetimes(writer)
  // What has passed.
  writer.zeros(32)
  const block = action === "block" ? x.XFRM_POLICY_BLOCK : x.XFRM_POLICY_ALLOW
  writer
    .u32(priority)
    .u32(0)
    .u8(DIRECTIONS[direction])
    .u8(block)
    .u8(0)
    .u8(x.XFRM_SHARE_ANY)
    .zeros(4)
  if (typeof action !== "string") writer.nested(x.XFRMA_TMPL, () => putTemplate(writer, action))
  if (ifId !== undefined) writer.attrU32(x.XFRMA_IF_ID, ifId)
  return writer
}

/** struct xfrm_user_tmpl. */
function putTemplate(writer: MessageWriter, { source, destination, reqid, spi }: Template): void {
  putXfrmAddress(writer, destination)
  writer.u32be(spi).u8(x.IPPROTO_ESP).zeros(3)
  writer.u16(familyNumber(familyOf(destination))).zeros(2)
  putXfrmAddress(writer, source)
  writer.u32(reqid).u8(x.XFRM_MODE_TUNNEL).u8(x.XFRM_SHARE_ANY).u8(0).zeros(1)
  // Any algorithm that the association has.
  writer.u32(0xffff_ffff).u32(0xffff_ffff).u32(0xffff_ffff)
}

function readTemplate(payload: Uint8Array): Template {
  if (payload.length < x.XFRM_USER_TMPL_BYTES) throw tooShort("a policy's template", payload)
  const view = new DataView(payload.buffer, payload.byteOffset, payload.byteLength)
  const family: Family = view.getUint16(24, true) === AF_INET6 ? 6 : 4
  return {
    destination: readXfrmAddress(view, 0, family),
    spi: view.getUint32(16, false),
    source: readXfrmAddress(view, 28, family),
    reqid: view.getUint32(44, true),
  }
}

function textOf({ direction, source, destination }: PolicyId): string {
  return `${direction} ${source} to ${destination}`
}

/**
 * What all messages of nf_tables share: struct nfgenmsg, the two messages that enclose a
 * transaction, and the generation, which counts transactions.
 */

import { LariatError } from "../../errors.ts"
import { type Attributes, parseBody } from "../attribute.ts"
import { NLA_F_NESTED } from "../constants.ts"
import { type Message, type MessageOptions, MessageWriter } from "../message.ts"
import * as n from "./constants.ts"

/** A message of nf_tables, its fixed header written. @param type NFT_MSG_* */
export function nftMessage(
  type: number,
  family: number,
  options: MessageOptions & { readonly flags?: number },
): MessageWriter {
  const writer = new MessageWriter(
    (n.NFNL_SUBSYS_NFTABLES << 8) | type,
    options.flags ?? 0,
    options,
  )
  return writer.u8(family).u8(n.NFNETLINK_V0).u16be(0)
}

function batchMessage(type: number, operation: string): MessageWriter {
  const writer = new MessageWriter(type, 0, { operation, ack: false })
  return writer.u8(n.NFPROTO_UNSPEC).u8(n.NFNETLINK_V0).u16be(n.NFNL_SUBSYS_NFTABLES)
}

/**
 * Makes a transaction of messages: the kernel does all of them or none.
 *
 * @param options generation: the kernel refuses everything with ERESTART unless this is still the
 * ruleset's generation; default: whatever it is. operation: for errors of the whole.
 */
export function batch(
  messages: readonly MessageWriter[],
  options: { readonly generation?: number | undefined; readonly operation?: string } = {},
): MessageWriter[] {
  const operation = options.operation ?? "change the nftables ruleset"
  const begin = batchMessage(n.NFNL_MSG_BATCH_BEGIN, operation)
  if (options.generation !== undefined) begin.attrU32be(n.NFNL_BATCH_GENID, options.generation)
  return [begin, ...messages, batchMessage(n.NFNL_MSG_BATCH_END, operation)]
}

/** Asks for the ruleset's generation. */
export function getGeneration(): MessageWriter {
  const operation = "read the nftables generation"
  return nftMessage(n.NFT_MSG_GETGEN, n.NFPROTO_UNSPEC, { operation })
}

/** The generation an NFT_MSG_NEWGEN message tells. @throws LariatError code `decode` */
export function parseGeneration(message: Message): number {
  return parseNft(message).attributes.u32be(n.NFTA_GEN_ID) ?? missing("generation")
}

/** A message of nf_tables from the kernel: NFT_MSG_*, family, attributes. */
export interface NftMessage {
  readonly type: number
  readonly family: number
  readonly attributes: Attributes
}

/** @throws LariatError code `decode` when it is of another subsystem, too short or malformed */
export function parseNft(message: Message): NftMessage {
  if (message.type >> 8 !== n.NFNL_SUBSYS_NFTABLES) {
    throw malformed(`message type ${message.type} is of another subsystem`)
  }
  const { header, attributes } = parseBody(
    message.payload,
    n.NFGENMSG_BYTES,
    "a message of nftables",
  )
  return { type: message.type & 0xff, family: header.getUint8(0), attributes }
}

/** For what must be there. @throws LariatError code `decode` */
export function missing(what: string): never {
  throw malformed(`it has no ${what}`)
}

function malformed(why: string): LariatError {
  return new LariatError(`Cannot read a message of nftables: ${why}`, { code: "decode" })
}

/** An attribute that holds attributes; nf_tables wants the NESTED flag. */
export function nest(writer: MessageWriter, type: number, body: () => void): MessageWriter {
  return writer.nested(type | NLA_F_NESTED, body)
}

/** struct nft_data with a plain value. */
export function writeData(writer: MessageWriter, type: number, value: Uint8Array): MessageWriter {
  return nest(writer, type, () => writer.attr(n.NFTA_DATA_VALUE, value))
}

/** The plain value of a struct nft_data; undefined where there is none. */
export function readData(attributes: Attributes, type: number): Uint8Array | undefined {
  return attributes.nested(type).get(n.NFTA_DATA_VALUE)
}

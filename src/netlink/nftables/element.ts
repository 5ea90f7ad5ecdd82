/** Elements of nftables sets: messages and what the kernel answers. */

import { type Attributes, parseAttributes } from "../attribute.ts"
import { NLM_F_CREATE } from "../constants.ts"
import type { Message, MessageWriter } from "../message.ts"
import * as n from "./constants.ts"
import { missing, nest, nftMessage, parseNft, readData, writeData } from "./message.ts"
import { describeSet } from "./set.ts"
import type { TableRef } from "./table.ts"
import { encodeUserdata, numberField } from "./userdata.ts"

/** One element. Keys are in network order; concatenations have each field padded to 4 bytes. */
export interface SetElement {
  readonly key: Uint8Array
  /** Last key of the element, included; only in intervals of concatenations. */
  readonly keyEnd?: Uint8Array | undefined
  /** The key is the first one after an interval; only in intervals of a single field. */
  readonly intervalEnd?: boolean | undefined
  /** The interval reaches the last key there is; tells `nft list` that no end follows. */
  readonly open?: boolean | undefined
  readonly data?: Uint8Array | undefined
}

/** Elements per message: an attribute holds 64 kB, the widest element of ours has 84 bytes. */
const ELEMENTS_PER_MESSAGE = 500

/** Adds elements; those that are there already stay. More messages where one cannot hold all. */
export function newElements(
  ref: TableRef,
  set: string,
  elements: readonly SetElement[],
  options: { readonly setId?: number } = {},
): MessageWriter[] {
  const operation = `add elements to ${describeSet(ref, set)}`
  return batched(elements, (part) => {
    const writer = nftMessage(n.NFT_MSG_NEWSETELEM, ref.family, { operation, flags: NLM_F_CREATE })
    return writeElements(writer, ref, set, part, options.setId)
  })
}

/** Takes elements away; the kernel answers ENOENT where one is not. */
export function deleteElements(
  ref: TableRef,
  set: string,
  elements: readonly SetElement[],
): MessageWriter[] {
  const operation = `delete elements of ${describeSet(ref, set)}`
  return batched(elements, (part) =>
    writeElements(nftMessage(n.NFT_MSG_DELSETELEM, ref.family, { operation }), ref, set, part),
  )
}

function batched<T>(
  elements: readonly SetElement[],
  make: (part: readonly SetElement[]) => T,
): T[] {
  const count = Math.ceil(elements.length / ELEMENTS_PER_MESSAGE)
  return Array.from({ length: count }, (_, at) =>
    make(elements.slice(at * ELEMENTS_PER_MESSAGE, (at + 1) * ELEMENTS_PER_MESSAGE)),
  )
}

function writeElements(
  writer: MessageWriter,
  ref: TableRef,
  set: string,
  elements: readonly SetElement[],
  setId?: number,
): MessageWriter {
  writer.attrString(n.NFTA_SET_ELEM_LIST_TABLE, ref.table)
  writer.attrString(n.NFTA_SET_ELEM_LIST_SET, set)
  if (setId !== undefined) writer.attrU32be(n.NFTA_SET_ELEM_LIST_SET_ID, setId)
  return nest(writer, n.NFTA_SET_ELEM_LIST_ELEMENTS, () => {
    for (const [index, element] of elements.entries()) writeElement(writer, index + 1, element)
  })
}

/** Deletes all elements of a set. */
export function deleteAllElements(ref: TableRef, set: string): MessageWriter {
  const operation = `delete the elements of ${describeSet(ref, set)}`
  const writer = nftMessage(n.NFT_MSG_DELSETELEM, ref.family, { operation })
  writer.attrString(n.NFTA_SET_ELEM_LIST_TABLE, ref.table)
  return writer.attrString(n.NFTA_SET_ELEM_LIST_SET, set)
}

/** `nft` numbers the elements where the header says NFTA_LIST_ELEM; the kernel does not look. */
function writeElement(writer: MessageWriter, index: number, element: SetElement): void {
  nest(writer, index, () => {
    if (element.intervalEnd === true) {
      writer.attrU32be(n.NFTA_SET_ELEM_FLAGS, n.NFT_SET_ELEM_INTERVAL_END)
    }
    writeData(writer, n.NFTA_SET_ELEM_KEY, element.key)
    if (element.keyEnd !== undefined) writeData(writer, n.NFTA_SET_ELEM_KEY_END, element.keyEnd)
    if (element.data !== undefined) writeData(writer, n.NFTA_SET_ELEM_DATA, element.data)
    if (element.open === true) {
      const flags = numberField(n.NFTNL_UDATA_SET_ELEM_FLAGS, n.NFTNL_SET_ELEM_F_INTERVAL_OPEN)
      writer.attr(n.NFTA_SET_ELEM_USERDATA, encodeUserdata([flags]))
    }
  })
}

/** Asks, as a dump, for all elements of a set. */
export function getElements(ref: TableRef, set: string): MessageWriter {
  const operation = `read the elements of ${describeSet(ref, set)}`
  const writer = nftMessage(n.NFT_MSG_GETSETELEM, ref.family, { operation })
  return writer
    .attrString(n.NFTA_SET_ELEM_LIST_TABLE, ref.table)
    .attrString(n.NFTA_SET_ELEM_LIST_SET, set)
}

/** The elements in one message of a dump. @throws LariatError code `decode` */
export function parseElements(message: Message): SetElement[] {
  const { attributes } = parseNft(message)
  return attributes
    .list(n.NFTA_SET_ELEM_LIST_ELEMENTS)
    .map(({ payload }) => parseElement(parseAttributes(payload)))
}

/** A verdict map's data holds no value but a verdict, which nobody here asks for. */
function parseElement(attributes: Attributes): SetElement {
  const flags = attributes.u32be(n.NFTA_SET_ELEM_FLAGS) ?? 0
  return {
    key: readData(attributes, n.NFTA_SET_ELEM_KEY) ?? missing("key of an element"),
    keyEnd: readData(attributes, n.NFTA_SET_ELEM_KEY_END),
    intervalEnd: (flags & n.NFT_SET_ELEM_INTERVAL_END) !== 0,
    data: readData(attributes, n.NFTA_SET_ELEM_DATA),
  }
}

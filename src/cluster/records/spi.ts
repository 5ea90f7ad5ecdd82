/** The number on each ESP packet that tells the receiver which association it is of. */

import { LariatError } from "../../errors.ts"

/** What an SPI is made of. */
export interface SpiParts {
  /** Host number of who sends, 1 to 65535. */
  readonly sender: number
  /** Number of the network, 0 to 15. */
  readonly network: number
  /** Generation of the receiver's keys; six bits of it stand in the SPI. */
  readonly receiverGeneration: number
  /** Generation of the sender's keys; six bits of it stand in the SPI. */
  readonly senderGeneration: number
}

/** Generations of one host that are this far apart have the same bits in an SPI. */
export const SPI_GENERATIONS = 64
/** The host number has 16 bits; 0 is none, which keeps SPIs above RFC 4303 §2.1's reserved 255. */
export const MAX_HOST_NUMBER = 0xffff
/** The network's number has four bits. */
const MAX_NETWORK_NUMBER = 15

/**
 * The SPI, in host byte order: sender << 16 | network << 12 | receiver's generation << 6 | sender's
 * generation. No two senders share one at a receiver, and two associations of the same two hosts
 * only do when both hosts' generations are multiples of 64 apart: the key ring keeps no such two.
 *
 * @throws LariatError internal where a number is out of its range
 */
export function encodeSpi(parts: SpiParts): number {
  const { sender, network, receiverGeneration, senderGeneration } = parts
  within("host number", sender, 1, MAX_HOST_NUMBER)
  within("network number", network, 0, MAX_NETWORK_NUMBER)
  within("generation", receiverGeneration, 1, Number.MAX_SAFE_INTEGER)
  within("generation", senderGeneration, 1, Number.MAX_SAFE_INTEGER)
  const receiverBits = receiverGeneration % SPI_GENERATIONS
  const senderBits = senderGeneration % SPI_GENERATIONS
  return sender * 0x1_0000 + network * 0x1000 + receiverBits * SPI_GENERATIONS + senderBits
}

function within(what: string, value: number, least: number, most: number): void {
  if (Number.isInteger(value) && value >= least && value <= most) return
  throw new LariatError(`Cannot make an SPI: ${value} is no ${what} (${least} to ${most})`, {
    code: "internal",
  })
}

/** What an SPI says, for tests that look at one. */
import { SPI_GENERATIONS, type SpiParts } from "../../src/cluster/records/spi.ts"

/**
 * The parts of an SPI; of the generations only the lowest six bits.
 *
 * @returns undefined where it is none of ours: its sender would be host number 0
 */
export function decodeSpi(spi: number): SpiParts | undefined {
  if (!Number.isInteger(spi) || spi < 0x1_0000 || spi > 0xffff_ffff) return undefined
  return {
    sender: spi >>> 16,
    network: (spi >>> 12) & 0xf,
    receiverGeneration: (spi >>> 6) & (SPI_GENERATIONS - 1),
    senderGeneration: spi & (SPI_GENERATIONS - 1),
  }
}

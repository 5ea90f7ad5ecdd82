/** Lines of a stream of bytes, none of them longer than allowed. */

import { LariatError } from "../../../errors.ts"

const NEWLINE = 0x0a

export class LineSplitter {
  readonly #limit: number
  readonly #decoder = new TextDecoder()
  #parts: Uint8Array[] = []
  #length = 0

  /** @param limit the most bytes of a line */
  constructor(limit: number) {
    this.#limit = limit
  }

  /**
   * Takes what arrived and gives the lines that it ended, without empty ones.
   *
   * @throws LariatError decode when a line is too long; the stream is of no use then
   */
  push(chunk: Uint8Array): string[] {
    const lines: string[] = []
    let start = 0
    for (let end = chunk.indexOf(NEWLINE); end >= 0; end = chunk.indexOf(NEWLINE, start)) {
      this.#keep(chunk.subarray(start, end))
      const line = this.#take()
      if (line !== "") lines.push(line)
      start = end + 1
    }
    this.#keep(chunk.subarray(start))
    return lines
  }

  #keep(part: Uint8Array): void {
    if (part.length === 0) return
    this.#length += part.length
    if (this.#length > this.#limit) {
      throw new LariatError(`Cannot read a stream: a line has more than ${this.#limit} bytes`, {
        code: "decode",
      })
    }
    // A copy: runtimes may use the chunk's memory again.
    this.#parts.push(part.slice())
  }

  #take(): string {
    const text = this.#parts
      .map((part) => this.#decoder.decode(part, { stream: true }))
      .join("")
      .concat(this.#decoder.decode())
    this.#parts = []
    this.#length = 0
    return text
  }
}

/** Echo requests without pause from inside a container, and which of them had no answer. */
import { type ChildProcess, spawn } from "node:child_process"

/** 25 a second. */
const INTERVAL_S = "0.04"

export class PingStream {
  readonly #child: ChildProcess
  readonly #what: string
  #output = ""

  constructor(netns: string, target: string) {
    this.#what = `${netns} to ${target}`
    this.#child = spawn("nsenter", [`--net=${netns}`, "ping", "-n", "-i", INTERVAL_S, target], {
      stdio: ["ignore", "pipe", "inherit"],
    })
    this.#child.stdout?.on("data", (chunk) => {
      this.#output += chunk
    })
  }

  /**
   * Ends the stream.
   *
   * @returns how many requests were sent, and one sentence for each thing that was wrong
   */
  async stop(): Promise<{ sent: number; faults: string[] }> {
    const ended = new Promise((resolve) => this.#child.once("close", resolve))
    this.#child.kill("SIGINT")
    await ended
    const sent = Number(/^(\d+) packets transmitted/m.exec(this.#output)?.[1])
    const seen = [...this.#output.matchAll(/icmp_seq=(\d+) ttl=/g)].map((match) => Number(match[1]))
    const faults: string[] = []
    const answered = new Set(seen)
    // The last one may be on its way when the stream ends.
    for (let sequence = 1; sequence < sent; sequence++) {
      if (!answered.has(sequence)) faults.push(`${this.#what}: no answer to request ${sequence}`)
    }
    if (seen.length !== answered.size) faults.push(`${this.#what}: an answer came twice`)
    if (!(sent > 0)) faults.push(`${this.#what}: nothing was sent: ${this.#output}`)
    return { sent, faults }
  }
}

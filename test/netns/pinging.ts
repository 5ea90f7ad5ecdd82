/** A flow of pings, of which none may get lost. */
import { spawn } from "node:child_process"

/** Pings twenty times a second; `stop` gives how many were sent and how many came back. */
export function pinging(from: string, to: string) {
  const ping = ["ping", "-i", "0.05", "-W", "1", "-q", to]
  const child = spawn("nsenter", [`--net=/run/netns/${from}`, ...ping], {
    stdio: ["ignore", "pipe", "inherit"],
  })
  let out = ""
  child.stdout.setEncoding("utf8").on("data", (text: string) => {
    out += text
  })
  const ended = new Promise<void>((resolve) => child.once("close", () => resolve()))
  return {
    async stop(): Promise<{ sent: number; lost: number }> {
      child.kill("SIGINT")
      await ended
      const found = /(\d+) packets transmitted, (\d+) received/.exec(out)
      const [sent, received] = [Number(found?.[1]), Number(found?.[2])]
      // The last one may be on its way when the signal comes.
      return { sent, lost: Math.max(0, sent - received - 1) }
    },
  }
}

/** Pings of the tests. */
import { type Netns, withNetns } from "../../src/sys/netns/netns.ts"
import { EchoProber } from "../../src/sys/probes/echo.ts"

/** Whether an address answers a ping from a namespace within the time. */
export async function answers(netns: Netns, address: string, timeoutMs: number): Promise<boolean> {
  using prober = withNetns(netns, () => EchoProber.open())
  const probe = { destination: address, packetBytes: 84 }
  const [result] = await prober.probe([probe], { timeoutMs })
  return result?.kind === "answered"
}

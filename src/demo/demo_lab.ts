import { mkdtempSync, rmSync } from "node:fs"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { runAllInTurn } from "../errors.ts"
import { createNetns, type Netns } from "../sys/netns/netns.ts"
import { DemoHost } from "./demo_host.ts"
import { wire } from "./demo_wiring.ts"

/** Addresses of the made-up network between the host and the outside (RFC 5737). */
export const OUTSIDE_IP = "203.0.113.1"
export const HOST_IP = "203.0.113.2"

/**
 * A host, an outside and containers, all of them network namespaces that exist only as open files
 * of this process, with an agent running on that host. Closing it leaves nothing behind.
 */
export class DemoLab {
  readonly directory = mkdtempSync(join(tmpdir(), "lariat-demo-"))
  #host: DemoHost | undefined
  #outside: Netns | undefined

  /** Makes host and outside, with a cable between them. @throws SystemError permission */
  build(): DemoHost {
    const host = new DemoHost("demo-host", join(this.directory, "host"))
    this.#host = host
    const outside = createNetns()
    this.#outside = outside
    wire({ netns: host.netns, address: HOST_IP }, { netns: outside, address: OUTSIDE_IP })
    return host
  }

  /** Ends the agent, gives the namespaces back, deletes the files. @throws TeardownError */
  async close(): Promise<void> {
    await runAllInTurn("the demo", [
      () => this.#host?.stopAgent(),
      () => this.#host?.close(),
      () => this.#outside?.close(),
      () => rmSync(this.directory, { recursive: true, force: true }),
    ])
  }
}

/** A host that speaks for containers which are not its own. */
import { expect } from "bun:test"
import type { ClusterLab } from "./cluster_lab.ts"
import type { Pair } from "./ipsec_pair.ts"
import { ping } from "./ping.ts"

/**
 * Whatever a host sends under another's addresses is dropped, by its own tunnel or past it. Takes
 * b's driver down.
 */
export async function expectNoImpostor(pair: Pair, lab: ClusterLab): Promise<void> {
  const [a, b] = [lab.host("a"), lab.host("b")]
  const dropped = () => {
    const { XfrmInNoPols = 0, XfrmInTmplMismatch = 0, XfrmInPolBlock = 0 } = pair.errors()[0] ?? {}
    return XfrmInNoPols + XfrmInTmplMismatch + XfrmInPolBlock
  }
  b.netns.configure("lo", ["10.42.7.7/32"])
  try {
    // From an address that is not in b's block, through b's own tunnel.
    b.netns.addRoutes("lrx3", [{ dst: "10.42.1.254/32", preferredSource: "10.42.7.7" }])
    expect((await ping(b.netns, "10.42.1.254", { timeoutMs: 300 })).received).toBe(0)
    const tunnelled = dropped()
    expect(tunnelled).toBeGreaterThan(0)
    // In clear, from an address that is b's, past the tunnel. An answer would be encrypted, and b
    // could not read it: that the request is dropped shows in the counters.
    pair.b.remove()
    b.netns.configure("lo", ["10.42.2.254/32"])
    b.netns.addRoutes("uplink", [
      { dst: "10.42.1.254/32", gateway: a.v4, preferredSource: "10.42.2.254" },
    ])
    expect((await ping(b.netns, "10.42.1.254", { timeoutMs: 300 })).received).toBe(0)
    expect(dropped()).toBeGreaterThan(tunnelled)
  } finally {
    for (const address of ["10.42.7.7/32", "10.42.2.254/32"]) {
      await b.netns.attempt("ip", "address", "delete", address, "dev", "lo")
    }
    await b.netns.attempt("ip", "route", "delete", "10.42.1.254/32")
  }
}

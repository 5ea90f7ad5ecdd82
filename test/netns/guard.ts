/** What keeps live tests off the machine's own network. */
import { execFileSync } from "node:child_process"

/**
 * Fails unless the test runner has put this process into namespaces of its own.
 *
 * @throws Error
 */
export function requireTestNetns(): void {
  if (process.env.LARIAT_TEST_NETNS === "1") return
  throw new Error(
    "This test changes the network: run it with `npm test`, or within test/runner/namespace.sh",
  )
}

/** Runs iproute2: the second opinion of the tests. @throws Error when it fails */
export function ip(...args: readonly string[]): string {
  // Also what a test cleans up after it was refused must not reach the machine.
  requireTestNetns()
  return execFileSync("ip", args, { encoding: "utf8", timeout: 10_000, stdio: "pipe" })
}

/** The JSON of iproute2: an array of objects. */
export function ipJson(...args: readonly string[]): Record<string, unknown>[] {
  return JSON.parse(ip("-json", ...args) || "[]")
}

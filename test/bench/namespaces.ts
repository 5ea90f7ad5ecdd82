/** Namespaces for containers, made before anything is timed. */
import { spawnSync } from "node:child_process"

/** Makes `count` namespaces and returns their paths. @throws Error */
export function makeNamespaces(prefix: string, count: number): string[] {
  return Array.from({ length: count }, (_, index) => {
    const name = `${prefix}${index}`
    ip("netns", "add", name)
    // A container's loopback is up before any plugin of its network runs.
    ip("-n", name, "link", "set", "lo", "up")
    return `/run/netns/${name}`
  })
}

/** Takes them away again. */
export function removeNamespaces(paths: readonly string[]): void {
  for (const path of paths) ip("netns", "delete", path.slice(path.lastIndexOf("/") + 1))
}

function ip(...args: string[]): void {
  const result = spawnSync("ip", args, { encoding: "utf8" })
  if (result.status !== 0) throw new Error(`ip ${args.join(" ")}: ${result.stderr}`)
}

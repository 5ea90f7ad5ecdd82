/** What a lab might have left behind. */
import { readdirSync, readFileSync, readlinkSync } from "node:fs"
import { NETLINK_ROUTE } from "../../src/netlink/constants.ts"
import { listLinks } from "../../src/netlink/route/link.ts"
import { NetlinkSocket } from "../../src/netlink/socket.ts"

/** Links of the test's own namespace, and pinned namespaces. */
export interface Dependencies {
  readonly links: readonly string[]
  readonly namespaces: readonly string[]
}

export function surroundings(): Dependencies {
  const socket = NetlinkSocket.open(NETLINK_ROUTE)
  try {
    const links = listLinks(socket).map(({ name }) => name)
    return { links: links.sort(), namespaces: readdirSync("/run/netns").sort() }
  } finally {
    socket.close()
  }
}

/** One sentence for each thing that is there now and was not before. */
export function leftovers(before: Dependencies): string[] {
  const now = surroundings()
  return [
    ...now.links.filter((name) => !before.links.includes(name)).map((name) => `link ${name}`),
    ...now.namespaces
      .filter((name) => !before.namespaces.includes(name))
      .map((name) => `namespace ${name}`),
  ]
}

/** One sentence for each process, other than this one, in one of these namespaces. */
export function processesIn(inodes: ReadonlySet<bigint>): string[] {
  const found: string[] = []
  for (const pid of readdirSync("/proc")) {
    if (!/^\d+$/.test(pid) || Number(pid) === process.pid) continue
    try {
      const inode = /^net:\[(\d+)\]$/.exec(readlinkSync(`/proc/${pid}/ns/net`))?.[1]
      if (inode === undefined || !inodes.has(BigInt(inode))) continue
      const command = readFileSync(`/proc/${pid}/cmdline`, "utf8").replaceAll("\0", " ").trim()
      found.push(`process ${pid} (${command})`)
    } catch {
      // It ended between the listing and the look.
    }
  }
  return found
}

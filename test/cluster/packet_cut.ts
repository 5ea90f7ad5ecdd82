/** Drops packets from and to ports of this namespace, as a cable that was pulled does. */
import { execFileSync } from "node:child_process"
import { requireTestNetns } from "../netns/guard.ts"

const TABLE = "cut_test"

/** What of a port is cut: everything, or what is open at the moment and never comes back. */
export type CutKind = "all" | "open connections"

/** Cuts these TCP ports off until {@link PacketCut.mend}: connections stay open and silent. */
export class PacketCut {
  constructor(ports: readonly number[], kind: CutKind = "all") {
    const set = `{ ${ports.join(", ")} }`
    const open = kind === "all" ? [] : openLocalPorts(ports)
    const match = (near: string, far: string) =>
      kind === "all" ? `tcp ${near} ${set}` : `tcp ${near} ${set} tcp ${far} { ${open.join(", ")} }`
    nft(`table inet ${TABLE} { chain output { type filter hook output priority 0;
      ${match("dport", "sport")} drop
      ${match("sport", "dport")} drop
    }
    }`)
  }

  mend(): void {
    nft(`delete table inet ${TABLE}`)
  }
}

/** Our ends of this process's connections to these ports; etcd's gateway has some to itself. */
function openLocalPorts(ports: readonly number[]): string[] {
  const rule = ports.map((port) => `dport = :${port}`).join(" or ")
  const output = execFileSync("ss", ["-tnpH", "state", "established", `( ${rule} )`], {
    encoding: "utf8",
    timeout: 10_000,
  })
  return output
    .trim()
    .split("\n")
    .filter((line) => line.includes(`pid=${process.pid},`))
    .map((line) => /:(\d+)\s/.exec(line)?.[1])
    .filter((port) => port !== undefined)
}

function nft(input: string): void {
  requireTestNetns()
  execFileSync("nft", ["-f", "-"], { input, timeout: 10_000, stdio: "pipe" })
}

/** Rooms are the folders of src/; imports between them point one way. */
import { posix } from "node:path"
import { isTest, type SourceFile } from "./source_file.ts"
import type { Violation } from "./violation.ts"

/** Files of src/ itself that every room may import. */
const COMMON: ReadonlySet<string> = new Set([
  "src/backoff.ts",
  "src/errors.ts",
  "src/table.ts",
  "src/version.ts",
])

/** Sources that a folder may hold, tests beside them not counted. */
const MAX_SOURCES = 25

/** What each room may import beside itself and {@link COMMON}. */
const MAY_IMPORT: Readonly<Record<string, readonly string[]>> = {
  core: [],
  sys: ["core"],
  netlink: ["sys", "core"],
  config: ["core"],
  ipam: ["core"],
  endpoint: ["netlink", "sys", "core"],
  firewall: ["netlink", "sys", "core"],
  drivers: ["netlink", "sys", "core", "config"],
  cluster: ["core", "config"],
  metadata: ["core", "config"],
  dns: ["core", "config", "metadata"],
  docker: ["sys", "core", "config"],
  packaging: [],
  cni: ["sys", "core", "config"],
  agent: [
    ...["core", "sys", "netlink", "config", "ipam", "endpoint", "firewall", "drivers"],
    ...["cluster", "metadata", "dns", "docker", "packaging", "cni"],
  ],
  cli: [
    ...["core", "sys", "netlink", "config", "ipam", "endpoint", "firewall", "drivers"],
    ...["cluster", "metadata", "dns", "docker", "packaging", "cni", "agent", "demo"],
  ],
  demo: ["core", "sys", "netlink", "config", "drivers", "cluster", "dns", "agent"],
  main: ["cli", "cni", "sys"],
}

/**
 * The sub-rooms of the rooms that have some, each with those of its room that it may import. Files
 * that lie in the room itself join its sub-rooms or are their common ground: either may import the
 * other, as long as there is no cycle of files.
 */
const SUB_ROOMS: Readonly<Record<string, Readonly<Record<string, readonly string[]>>>> = {
  sys: {
    ffi: [],
    netns: ["ffi"],
    net: ["ffi"],
    http: ["ffi", "net"],
    probes: ["ffi", "net"],
    xtables: ["ffi", "net"],
  },
  netlink: { route: [], xfrm: ["route"], nftables: [], wireguard: [], conntrack: [] },
  config: { yaml: [], netconf: [] },
  dns: { bounds: [] },
  drivers: { ipsec: [], vxlan: [], routed: [], wireguard: [] },
  cluster: {
    store: [],
    "store/etcd": ["store"],
    records: ["store"],
    blocks: ["records", "store"],
    directory: ["blocks", "records", "store"],
    keys: ["records", "store"],
    nat: [],
    health: [],
  },
  cni: { client: [] },
  agent: {
    state: [],
    networks: ["state"],
    services: ["networks", "state"],
    endpoints: ["networks", "state"],
    doctor: ["services"],
    "cluster/state": ["state"],
    "cluster/blocks": ["cluster/state", "services", "state"],
    "cluster/overlays": ["cluster/state", "networks"],
    "cluster/transport": ["cluster/overlays"],
    "cluster/probes": ["cluster/overlays", "state"],
    cluster: [
      ...["cluster/state", "cluster/blocks", "cluster/overlays", "cluster/transport"],
      ...["cluster/probes", "services", "networks", "state"],
    ],
    control: ["endpoints", "cluster", "services", "networks", "state"],
  },
  demo: { etcd: [] },
}

/** The room of a file of src/: its folder, `main` for src/main.ts, undefined for common files. */
export function roomOf(path: string): string | undefined {
  const [top, room, ...rest] = path.split("/")
  if (top !== "src" || room === undefined) return undefined
  if (rest.length > 0) return room
  return path === "src/main.ts" ? "main" : undefined
}

/** The sub-room of a file: its folder below the room, empty for a file in the room itself. */
function subRoomOf(path: string): string {
  return posix.dirname(path).split("/").slice(2).join("/")
}

/** The path that a relative import names, or undefined for a package. */
export function targetOf(file: SourceFile, specifier: string): string | undefined {
  if (!specifier.startsWith(".")) return undefined
  return posix.join(posix.dirname(file.path), specifier)
}

/** Imports from one room or sub-room into another that it may not know, and unplanned folders. */
export function checkRooms(files: readonly SourceFile[]): Violation[] {
  const violations: Violation[] = []
  for (const file of files) {
    if (!file.path.startsWith("src/")) continue
    const room = roomOf(file.path)
    const allowed = room === undefined ? [] : MAY_IMPORT[room]
    const unplanned = room !== undefined && unplannedFolder(file.path, room)
    if (allowed === undefined || unplanned) {
      const message =
        allowed === undefined
          ? `src/${room} is no room of the house; there are ${Object.keys(MAY_IMPORT).join(", ")}`
          : `src/${room}/${subRoomOf(file.path)} is no sub-room; ${placesIn(room ?? "")}`
      violations.push({ path: file.path, line: 1, message })
      continue
    }
    for (const { specifier, line } of file.imports) {
      const target = targetOf(file, specifier)
      if (target === undefined || COMMON.has(target)) continue
      if (!target.startsWith("src/") && isTest(file.path)) continue
      const other = roomOf(target)
      if (other === undefined || (other !== room && !allowed.includes(other))) {
        const message = `${room ?? "a common file"} may not import ${target}: ${mayKnow(room, allowed)}`
        violations.push({ path: file.path, line, message })
        continue
      }
      const fault = other === room ? subRoomFault(file.path, target, room) : undefined
      if (fault !== undefined) violations.push({ path: file.path, line, message: fault })
    }
  }
  return violations
}

function unplannedFolder(path: string, room: string): boolean {
  const sub = subRoomOf(path)
  return sub !== "" && SUB_ROOMS[room]?.[sub] === undefined
}

function placesIn(room: string): string {
  const names = Object.keys(SUB_ROOMS[room] ?? {})
  return names.length === 0 ? `files of ${room} lie in it` : `${room} has ${names.join(", ")}`
}

function mayKnow(room: string | undefined, allowed: readonly string[]): string {
  if (allowed.length === 0) return "it stands below every room"
  const above = Object.keys(MAY_IMPORT).filter((name) => MAY_IMPORT[name]?.includes(room ?? ""))
  const joined = above.length === 0 ? "" : `; what joins both belongs to ${above.join(" or ")}`
  return `it knows ${allowed.join(", ")}${joined}`
}

function subRoomFault(path: string, target: string, room: string): string | undefined {
  const [from, to] = [subRoomOf(path), subRoomOf(target)]
  if (from === to || from === "" || to === "") return undefined
  const allowed = SUB_ROOMS[room]?.[from] ?? []
  // A test may look at its subject with whatever tools the room has.
  if (allowed.includes(to) || isTest(path)) return undefined
  const known = allowed.length === 0 ? "no other sub-room" : allowed.join(", ")
  return `${room}/${from} may not import ${target}: it knows ${known}; what joins both lies in src/${room}/`
}

/** Folders of src/ with so many sources, tests not counted, that they hide a sub-room. */
export function checkFolders(files: readonly SourceFile[]): Violation[] {
  const counts = new Map<string, number>()
  for (const { path } of files) {
    if (!path.startsWith("src/") || isTest(path)) continue
    const folder = posix.dirname(path)
    counts.set(folder, (counts.get(folder) ?? 0) + 1)
  }
  return [...counts]
    .filter(([, count]) => count > MAX_SOURCES)
    .map(([path, count]) => ({
      path,
      line: 1,
      message: `${count} sources: look for a sub-room (${MAX_SOURCES} at most)`,
    }))
}

/** Import cycles, type-only imports included: each is reported once, at its first file. */
export function checkCycles(files: readonly SourceFile[]): Violation[] {
  const byPath = new Map(files.map((file) => [file.path, file]))
  const done = new Set<string>()
  const violations: Violation[] = []
  const visit = (path: string, trail: readonly string[]): void => {
    const start = trail.indexOf(path)
    if (start >= 0) {
      const cycle = [...trail.slice(start), path].join(" → ")
      violations.push({ path, line: 1, message: `import cycle ${cycle}` })
      return
    }
    if (done.has(path)) return
    const file = byPath.get(path)
    for (const { specifier } of file?.imports ?? []) {
      const target = file === undefined ? undefined : targetOf(file, specifier)
      if (target !== undefined) visit(target, [...trail, path])
    }
    done.add(path)
  }
  for (const file of files) visit(file.path, [])
  return violations
}

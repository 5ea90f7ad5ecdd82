/** Rooms are the folders of src/; imports between them point one way. */
import { posix } from "node:path"
import { isTest, type SourceFile } from "./source_file.ts"
import type { Violation } from "./violation.ts"

/** Files of src/ itself that every room may import. */
const COMMON: ReadonlySet<string> = new Set(["src/errors.ts", "src/version.ts"])

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
    ...["cluster", "metadata", "dns", "docker", "packaging", "cni", "agent"],
  ],
  main: ["cli", "cni", "sys"],
}

/** The room of a file of src/: its folder, `main` for src/main.ts, undefined for common files. */
export function roomOf(path: string): string | undefined {
  const [top, room, ...rest] = path.split("/")
  if (top !== "src" || room === undefined) return undefined
  if (rest.length > 0) return room
  return path === "src/main.ts" ? "main" : undefined
}

/** The path that a relative import names, or undefined for a package. */
export function targetOf(file: SourceFile, specifier: string): string | undefined {
  if (!specifier.startsWith(".")) return undefined
  return posix.join(posix.dirname(file.path), specifier)
}

/** Imports from one room into another that it may not know, and rooms that nobody planned. */
export function checkRooms(files: readonly SourceFile[]): Violation[] {
  const violations: Violation[] = []
  for (const file of files) {
    if (!file.path.startsWith("src/")) continue
    const room = roomOf(file.path)
    const allowed = room === undefined ? [] : MAY_IMPORT[room]
    if (allowed === undefined) {
      violations.push({ path: file.path, line: 1, message: `src/${room} is no room of the house` })
      continue
    }
    for (const { specifier, line } of file.imports) {
      const target = targetOf(file, specifier)
      if (target === undefined || COMMON.has(target)) continue
      if (!target.startsWith("src/") && isTest(file.path)) continue
      const other = roomOf(target)
      if (other === undefined || (other !== room && !allowed.includes(other))) {
        const message = `${room ?? "a common file"} may not import ${target}`
        violations.push({ path: file.path, line, message })
      }
    }
  }
  return violations
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

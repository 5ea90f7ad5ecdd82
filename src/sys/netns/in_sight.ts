import { readdirSync, statSync } from "node:fs"
import { join } from "node:path"

/** Where programs mount the namespaces that they make: iproute2 and CNI runtimes, Docker. */
const FOLDERS: readonly string[] = ["/run/netns", "/var/run/netns", "/run/docker/netns"]

/** Options of {@link namespacesInSight}. */
export interface InSightOptions {
  /** Default: where programs mount them. */
  readonly folders?: readonly string[]
  /** Default /proc. */
  readonly proc?: string
}

/**
 * Paths of the network namespaces that have a name or a process, one path for each; those with a
 * name by it. One that only an open descriptor holds cannot be seen.
 */
export function namespacesInSight({ folders = FOLDERS, proc = "/proc" }: InSightOptions = {}) {
  const paths = new Map<string, string>()
  const see = (path: string): void => {
    try {
      const { dev, ino } = statSync(path, { bigint: true })
      const key = `${dev} ${ino}`
      if (!paths.has(key)) paths.set(key, path)
    } catch {
      // Its process ended meanwhile.
    }
  }
  for (const folder of folders) for (const name of entries(folder)) see(join(folder, name))
  for (const name of entries(proc)) if (/^\d+$/.test(name)) see(join(proc, name, "ns/net"))
  return [...paths.values()]
}

function entries(folder: string): string[] {
  try {
    return readdirSync(folder)
  } catch {
    return []
  }
}

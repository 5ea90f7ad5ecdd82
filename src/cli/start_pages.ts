import { readlinkSync } from "node:fs"
import { type PageSnapshot, snapshotPages } from "../sys/ffi/touched_pages.ts"
import { isCompiled } from "../sys/process.ts"

/** What starting this program has read of its file so far; undefined when it is not compiled. */
export function pagesOfStart(): PageSnapshot | undefined {
  if (!isCompiled) return undefined
  try {
    return snapshotPages(readlinkSync("/proc/self/exe"))
  } catch {
    // Only a cold start of the plugin is slower without.
    return undefined
  }
}

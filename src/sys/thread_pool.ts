/** The threads that the runtime keeps beside the JavaScript thread. */

import { readdirSync, readFileSync, readlinkSync } from "node:fs"
import { stat } from "node:fs/promises"
import { bunGlobal } from "./ffi/bun_global.ts"
import { currentNetns, withNetns } from "./netns/netns.ts"

/** Threads of the pool that are made by warming: as many file operations at once. */
const PARALLEL_STATS = 32
/** Stays that make the engine compile the code of a stay before the first real one. */
const WARM_STAYS = 2_000

/**
 * Makes the runtime create its threads now, at home: the file pool, the HTTP client, the
 * collector's helpers, and the compiler's work on the code that stays run. Call it once, outside
 * every `withNetns`. Nothing leaves the machine, and no socket is connected to anything.
 *
 * Compiler and collector threads end after ten idle seconds and come back when wanted, so a stay
 * can still give birth to one; `strayThreads` shows it, and it ends after ten idle seconds too.
 */
export async function warmRuntime(): Promise<void> {
  await Promise.all(Array.from({ length: PARALLEL_STATS }, () => stat("/proc/self")))
  // Refused before any address is looked up, but only after the client's thread is there.
  await fetch("http://localhost/", { unix: "/proc/self/no-socket" } as RequestInit).catch(() => {})
  // Under Deno the collector's threads are there from the start.
  bunGlobal()?.gc(true)
  const home = currentNetns()
  try {
    for (let stay = 0; stay < WARM_STAYS; stay++) withNetns(home, () => stay)
  } finally {
    home.close()
  }
}

/** A thread of this process in another network namespace than the caller's. */
export interface StrayThread {
  readonly tid: number
  /** As the runtime named it, "JITWorker" for instance. */
  readonly name: string
  /** "net:[4026531833]" */
  readonly netns: string
}

/** The threads that were born inside a namespace and are still there; see netns.ts. */
export function strayThreads(): StrayThread[] {
  const home = readlinkSync("/proc/thread-self/ns/net")
  const strays: StrayThread[] = []
  for (const tid of readdirSync("/proc/self/task")) {
    const task = `/proc/self/task/${tid}`
    try {
      const netns = readlinkSync(`${task}/ns/net`)
      if (netns === home) continue
      strays.push({ tid: Number(tid), name: readFileSync(`${task}/comm`, "utf8").trim(), netns })
    } catch {
      // It ended between the listing and the look.
    }
  }
  return strays
}

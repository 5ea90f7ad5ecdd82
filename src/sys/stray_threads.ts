/** Threads of the runtime that were born inside a network namespace; see netns.ts. */

import { readdirSync, readFileSync, readlinkSync } from "node:fs"

/** A thread of this process in another network namespace than the caller's. */
export interface StrayThread {
  readonly tid: number
  /** As the runtime named it, "JITWorker" for instance. */
  readonly name: string
  /** "net:[4026531833]" */
  readonly netns: string
}

/** The threads that were born inside a namespace and are still there. */
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

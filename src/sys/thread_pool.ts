/** The threads that the runtime keeps beside the JavaScript thread. */

import { readdirSync, readFileSync, readlinkSync } from "node:fs"
import { stat } from "node:fs/promises"
import { LariatError } from "../errors.ts"
import { AsyncWrite } from "./aio.ts"
import { bunGlobal } from "./ffi/bun_global.ts"
import { EBADF, SystemError } from "./ffi/errno.ts"
import { writeElsewhere } from "./ffi/libc.ts"
import { UNKNOWN_ERRNO } from "./ffi/libc_symbols.ts"
import { currentNetns, withNetns } from "./netns/netns.ts"

/** How often a write under way is asked whether it is done. */
const POLL_MS = 1

/** Threads of the pool that are made by warming: as many file operations at once. */
const PARALLEL_STATS = 32
/** Stays that make the engine compile the code of a stay before the first real one. */
const WARM_STAYS = 2_000

/**
 * One write(2), on another thread: the JavaScript thread goes on while the kernel takes its time.
 * Deleting links by netlink blocks in write(2) for a whole RCU grace period, about 20 ms.
 *
 * @returns the count of bytes written
 * @throws SystemError; LariatError io under Deno with a libc that lacks POSIX asynchronous I/O,
 * where the reason cannot be had
 */
export async function writeBlocking(fd: number, bytes: Uint8Array): Promise<number> {
  const write = startWrite(fd, bytes)
  if (write === undefined) return writeInRuntimePool(fd, bytes)
  for (;;) {
    const written = write.poll()
    if (written !== undefined) return written
    await new Promise((resolve) => setTimeout(resolve, POLL_MS))
  }
}

/** Undefined where libc has no such functions: glibc before 2.34 keeps them in librt. */
function startWrite(fd: number, bytes: Uint8Array): AsyncWrite | undefined {
  try {
    return new AsyncWrite(fd, bytes)
  } catch (error) {
    if (error instanceof LariatError && error.code === "kernel-unsupported") return undefined
    throw error
  }
}

/** The runtime's own pool is small and shared with all file operations: only a second choice. */
async function writeInRuntimePool(fd: number, bytes: Uint8Array): Promise<number> {
  const written = fd < 0 ? -EBADF : await writeElsewhere(fd, bytes)
  if (written >= 0) return written
  const what = `write ${bytes.length} bytes to descriptor ${fd}`
  if (written !== -UNKNOWN_ERRNO) throw new SystemError(-written, "write", what)
  throw new LariatError(`Cannot ${what}: the runtime does not say why`, { code: "io" })
}

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

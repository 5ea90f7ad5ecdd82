/**
 * Network namespaces: opening, comparing, entering for the length of one synchronous function,
 * making and pinning them.
 *
 * **Threads.** setns(2) moves one thread. What the runtime does on other threads (fetch, node:fs
 * promises, DNS) stays at home, which is why `withNetns` takes synchronous functions only. But a
 * thread that is *born* while its parent is inside is born inside, and stays there for good; it
 * keeps the namespace alive after its container is gone. The engine makes threads for its compiler
 * and its collector, and decides on that where a function begins or ends, a loop goes round, or
 * memory is asked for. So containers are entered by `socketIn` and `openIn` alone, which do none of
 * these inside: what they open belongs to the namespace, and is used from outside. `withNetns` is
 * for this program's own namespaces; `strayThreads` (stray_threads.ts) shows what was born in one.
 */

import { LariatError } from "../../errors.ts"
import { check, ELOOP, ENOENT, ENOTDIR, ESRCH, errnoText, SystemError } from "../ffi/errno.ts"
import { bareLibc, cString, currentErrno, errno, libc } from "../ffi/libc.ts"

// include/uapi/asm-generic/fcntl.h, include/uapi/linux/fcntl.h
const AT_EMPTY_PATH = 0x1000
const O_RDONLY = 0
const O_CLOEXEC = 0o2000000
const O_PATH = 0o10000000
/** include/uapi/linux/sched.h */
const CLONE_NEWNET = 0x40000000
/** include/uapi/linux/magic.h */
const NSFS_MAGIC = 0x6e736673
/** _IO(0xb7, 0x3), include/uapi/linux/nsfs.h */
const NS_GET_NSTYPE = 0xb703
/** include/uapi/linux/mount.h */
const MS_BIND = 4096
/** include/uapi/linux/fs.h: umount2(2) even while somebody uses it. */
const MNT_DETACH = 2
/** sysexits.h */
const EX_SOFTWARE = 70

/** What open(2) says when the path leads nowhere; ESRCH is a process under /proc that has ended. */
const GONE: readonly number[] = [ENOENT, ENOTDIR, ESRCH, ELOOP]

/** An open network namespace: it cannot go away, nor its inode be reused, until `close`. */
export interface Netns {
  readonly fd: number
  readonly dev: bigint
  readonly ino: bigint
  /** Where it was opened, for messages; two paths may name one namespace. */
  readonly path: string
  /** Idempotent. */
  close(): void
}

/** Device and inode of an open file, by statx(2). */
function identityOf(fd: number, path: string): { dev: bigint; ino: bigint } {
  // struct statx, include/uapi/linux/stat.h: 256 bytes, equal on every processor.
  const statx = new Uint8Array(256)
  // STATX_INO
  check(libc.statx(fd, cString(""), AT_EMPTY_PATH, 0x100, statx), "statx", `look at ${path}`)
  const view = new DataView(statx.buffer)
  return {
    ino: view.getBigUint64(32, true),
    dev: (BigInt(view.getUint32(136, true)) << 32n) | BigInt(view.getUint32(140, true)),
  }
}

function netnsOf(fd: number, path: string): Netns {
  let open = true
  return {
    fd,
    ...identityOf(fd, path),
    path,
    close() {
      if (open) libc.close(fd)
      open = false
    },
  }
}

function invalid(path: string, why: string, hint: string): LariatError {
  return new LariatError(`Cannot use ${path} as a network namespace: ${why}`, {
    code: "netns-invalid",
    hint,
  })
}

/** Whether the file behind an O_PATH descriptor lives in the kernel's namespace file system. */
function isNsfs(fd: number, path: string): boolean {
  // struct statfs: 120 bytes, f_type first, a long.
  const statfs = new Uint8Array(120)
  check(libc.fstatfs(fd, statfs), "fstatfs", `look at ${path}`)
  return new DataView(statfs.buffer).getUint32(0, true) === NSFS_MAGIC
}

/**
 * Opens a network namespace by its path: `/run/netns/x`, `/proc/1234/ns/net`, or a link to one.
 *
 * @throws LariatError netns-invalid when nothing is there or it is something else; SystemError
 */
export function openNetns(path: string): Netns {
  if (path === "") throw invalid('""', "the path is empty", "Give the path of a namespace.")
  // O_PATH first: opening a path that a caller names must not block on a FIFO or wake a device.
  const handle = libc.open(cString(path), O_PATH | O_CLOEXEC, 0)
  if (handle < 0) {
    const number = errno()
    if (!GONE.includes(number)) throw new SystemError(number, "open", `open ${path}`)
    throw invalid(path, errnoText(number), "Is the container gone? Nothing is left to configure.")
  }
  try {
    if (!isNsfs(handle, path)) {
      throw invalid(
        path,
        "it is an ordinary file or directory, and no namespace is mounted on it",
        "After a reboot such files are left over: remove it and start the container again.",
      )
    }
    const again = cString(`/proc/self/fd/${handle}`)
    const fd = check(libc.open(again, O_RDONLY | O_CLOEXEC, 0), "open", `open ${path}`)
    if (libc.ioctl(fd, NS_GET_NSTYPE, null) !== CLONE_NEWNET) {
      libc.close(fd)
      throw invalid(path, "it is a namespace of another kind", "Give the one that ends in ns/net.")
    }
    return netnsOf(fd, path)
  } finally {
    libc.close(handle)
  }
}

/** The namespace this thread is in. @throws SystemError */
export function currentNetns(): Netns {
  return netnsOf(openHome(), OWN_NETNS)
}

/** Whether two handles name one namespace. */
export function sameNetns(a: Netns, b: Netns): boolean {
  return a.ino === b.ino && a.dev === b.dev
}

/**
 * Goes back, or ends the process. An agent that stayed in a container's namespace would write its
 * routes, keys and firewall there, and answer there: dying and being restarted is the lesser evil.
 */
function goHome(home: number): void {
  if (libc.setns(home, CLONE_NEWNET) === 0) return
  const number = errno()
  const text = new TextEncoder().encode(
    `lariat: Cannot return to the host's network namespace: ${errnoText(number)}; ending\n`,
  )
  libc.write(2, text, text.length)
  libc._exit(EX_SOFTWARE)
}

const OWN_NETNS = "/proc/thread-self/ns/net"
const OWN_NETNS_C = cString(OWN_NETNS)

/** Verified anew for each stay: a remembered descriptor, closed by mistake, could be anything. */
function openHome(): number {
  const fd = libc.open(OWN_NETNS_C, O_RDONLY | O_CLOEXEC, 0)
  return check(fd, "open", `open ${OWN_NETNS}`)
}

function isThenable(value: unknown): value is PromiseLike<unknown> {
  return typeof value === "object" && value !== null && "then" in value
}

/**
 * Runs `fn` with this thread inside `ns` and comes back, also when `fn` throws. May be nested.
 * If coming back fails the whole process ends with code 70.
 *
 * @throws what `fn` throws; SystemError when `ns` cannot be entered; LariatError internal when
 * `fn` is asynchronous, because its later parts would run outside
 */
export function withNetns(ns: Netns, fn: () => PromiseLike<unknown>): never
export function withNetns<T>(ns: Netns, fn: () => T): T
export function withNetns<T>(ns: Netns, fn: () => T): T {
  const home = openHome()
  let result: T
  try {
    check(libc.setns(ns.fd, CLONE_NEWNET), "setns", `enter the network namespace ${ns.path}`)
    try {
      result = fn()
    } finally {
      goHome(home)
    }
  } finally {
    libc.close(home)
  }
  if (isThenable(result)) {
    // Its own failure would only hide this one.
    result.then(undefined, () => undefined)
    throw new LariatError(
      `Cannot run an asynchronous function in ${ns.path}: it would go on outside`,
      { code: "internal", hint: "Open the sockets inside and use them outside." },
    )
  }
  return result
}

type BareCalls = ReturnType<typeof bindBare>
const bindBare = () => bareLibc("setns", "unshare", "socket", "open")
let bound: BareCalls | undefined

function bareCalls(): BareCalls {
  bound ??= bindBare()
  return bound
}

/**
 * Makes one call of libc inside a namespace. Between the two calls of setns no function of
 * JavaScript begins or ends, no loop goes round and nothing is allocated: there the engine could
 * make a thread.
 *
 * @param syscall its name, and `what` its deed, for the error
 * @throws SystemError
 */
function callInside<A, B, C>(
  netns: Netns,
  call: (a: A, b: B, c: C) => number,
  [a, b, c]: readonly [A, B, C],
  { syscall, what }: { readonly syscall: string; readonly what: string },
): number {
  const { setns } = bareCalls()
  const { fd, path } = netns
  const home = openHome()
  try {
    if (setns(fd, CLONE_NEWNET) !== 0) {
      throw new SystemError(currentErrno(), "setns", `enter the network namespace ${path}`)
    }
    let result: number
    try {
      result = call(a, b, c)
    } finally {
      if (setns(home, CLONE_NEWNET) !== 0) goHome(home)
    }
    if (result < 0) throw new SystemError(currentErrno(), syscall, what)
    return result
  } finally {
    libc.close(home)
  }
}

/**
 * Opens a close-on-exec socket that belongs to a namespace; no thread of the runtime can be born
 * there.
 *
 * @throws SystemError
 */
export function socketIn(netns: Netns, family: number, type: number, protocol = 0): number {
  const what = `open a socket in ${netns.path}`
  const args = [family, type | O_CLOEXEC, protocol] as const
  return callInside(netns, bareCalls().socket, args, { syscall: "socket", what })
}

/**
 * Opens a file as a namespace sees it, of /proc/sys/net for instance, close-on-exec; no thread of
 * the runtime can be born there.
 *
 * @throws SystemError
 */
export function openIn(netns: Netns, path: string, flags: number): number {
  const args = [cString(path), flags | O_CLOEXEC, 0] as const
  return callInside(netns, bareCalls().open, args, { syscall: "open", what: `open ${path}` })
}

/**
 * Makes a new, empty network namespace that lives as long as its descriptor. No thread of the
 * runtime can be born there.
 *
 * @throws SystemError permission without CAP_SYS_ADMIN
 */
export function createNetns(): Netns {
  const { setns, unshare, open } = bareCalls()
  const home = openHome()
  try {
    if (unshare(CLONE_NEWNET) !== 0) {
      throw new SystemError(currentErrno(), "unshare", "make a network namespace")
    }
    let fd: number
    try {
      // As in callInside.
      fd = open(OWN_NETNS_C, O_RDONLY | O_CLOEXEC, 0)
    } finally {
      if (setns(home, CLONE_NEWNET) !== 0) goHome(home)
    }
    if (fd < 0) throw new SystemError(currentErrno(), "open", `open ${OWN_NETNS}`)
    const made = netnsOf(fd, OWN_NETNS)
    return { ...made, path: `net:[${made.ino}]` }
  } finally {
    libc.close(home)
  }
}

/**
 * Gives a namespace a path, as `ip netns add` does: a bind mount on an existing empty file.
 *
 * @throws SystemError
 */
export function pinNetns(ns: Netns, path: string): void {
  const source = cString(`/proc/self/fd/${ns.fd}`)
  const result = libc.mount(source, cString(path), null, MS_BIND, null)
  check(result, "mount", `mount ${ns.path} on ${path}`)
}

/** Takes the path away again; the file stays. @throws SystemError */
export function unpinNetns(path: string): void {
  check(libc.umount2(cString(path), MNT_DETACH), "umount2", `unmount ${path}`)
}

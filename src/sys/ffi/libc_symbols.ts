/**
 * The libc functions that Lariat calls, for the FFI layers of both runtimes. Only functions that
 * glibc 2.28 and musl 1.2.3 both export under one name, and only structures that are equal on
 * x86-64 and arm64.
 */

/** Memory that C may read or write during the call; null is the null pointer. */
export type Memory = Uint8Array | null

/**
 * Result, then arguments, a letter each: `v` nothing, `i` int, `u` unsigned int, `l` a 64-bit
 * long, size_t, off_t or address, `b` bytes or null. What each argument is says section 2 of the
 * manual. C's variadic functions (open, openat, fcntl, ioctl, prctl) may be called with a fixed
 * signature: on Linux both processors pass integer arguments the same way in either case.
 */
export const SIGNATURES = {
  _exit: "vi",
  accept4: "iibbi",
  /** The error number itself, EINPROGRESS while it runs. */
  aio_error: "ib",
  aio_return: "lb",
  aio_write: "ib",
  bind: "iibi",
  clock_gettime: "iib",
  close: "ii",
  connect: "iibi",
  eventfd: "iui",
  /** Only commands whose argument is an int. */
  fcntl: "iiii",
  fchmod: "iiu",
  flock: "iii",
  fstatfs: "iib",
  fsync: "ii",
  getpid: "i",
  getppid: "i",
  getsockname: "iibb",
  getsockopt: "iiiibb",
  gettid: "i",
  if_nametoindex: "ub",
  inet_pton: "iibb",
  ioctl: "iilb",
  listen: "iii",
  // Addresses are numbers where the memory is not JavaScript's.
  madvise: "illi",
  /** The address as a number, -1 for failure. */
  mmap: "llliiil",
  mount: "ibbblb",
  munmap: "ill",
  open: "ibiu",
  pipe2: "ibi",
  poll: "ibli",
  prctl: "iillll",
  pread: "libll",
  read: "libl",
  recv: "libli",
  recvfrom: "liblibb",
  /** The header is a struct msghdr; its pointers come from `addressOf`. */
  recvmsg: "libi",
  rename: "ibb",
  send: "libli",
  /** The header is a struct msghdr; its pointers come from `addressOf`. */
  sendmsg: "libi",
  sendto: "liblibi",
  setns: "iii",
  setsockopt: "iiiibi",
  shutdown: "iii",
  socket: "iiii",
  socketpair: "iiiib",
  /** Instead of fstat(2), whose structure differs between processors and whose symbol is young. */
  statx: "iibiub",
  sysconf: "li",
  umount2: "ibi",
  unlink: "ib",
  unshare: "ii",
  write: "libl",
} as const

/** What the letters of {@link SIGNATURES} are in JavaScript. */
interface Values {
  readonly v: undefined
  readonly i: number
  readonly u: number
  readonly l: number
  readonly b: Memory
}

type Arguments<Letters> = Letters extends `${infer First extends keyof Values}${infer Rest}`
  ? [Values[First], ...Arguments<Rest>]
  : []

type Signature<Letters> = Letters extends `${infer Result extends keyof Values}${infer Rest}`
  ? (...args: Arguments<Rest>) => Values[Result]
  : never

/** Raw functions: numbers and bytes, -1 for failure with the reason in `errno()`. */
export type Libc = {
  readonly [Name in keyof typeof SIGNATURES]: Signature<(typeof SIGNATURES)[Name]>
}

/** What a CNI plugin call needs, in the order in which it does: bound together at the first. */
export const PLUGIN_CALLS: readonly (keyof Libc)[] = [
  "read",
  "socket",
  "setsockopt",
  "connect",
  "send",
  "poll",
  "recv",
  "close",
  "write",
  "_exit",
]

/** The sonames to try: glibc, then musl under its loader's name per processor, then plain. */
const SONAMES: readonly string[] = [
  "libc.so.6",
  process.arch === "arm64" ? "libc.musl-aarch64.so.1" : "libc.musl-x86_64.so.1",
  "libc.so",
]

/** Where glibc before 2.34 has asynchronous I/O. */
const LIBRT = "librt.so.1"

/**
 * Opens symbols in the libc that is there.
 *
 * @param open opens them in one library; throws when that or one of them is not there
 */
export function inLibc<S, T>(open: (library: string, symbols: S) => T): (symbols: S) => T {
  let candidates = SONAMES
  return (symbols) => {
    let failure: unknown
    for (const library of candidates) {
      try {
        const bound = open(library, symbols)
        if (library !== LIBRT) candidates = [library, LIBRT]
        return bound
      } catch (error) {
        failure ??= error
      }
    }
    throw failure
  }
}

/** A bound C function before it has its type. */
export type RawFunction = (...args: (number | Uint8Array | null)[]) => number

/** What each runtime's FFI layer offers to `libc.ts`. */
export interface Ffi {
  /**
   * C functions by name, with their signatures. Throws when the library or one of them is not
   * there. Each call of this costs as much as a dozen functions in it.
   */
  bind(signatures: Readonly<Record<string, string>>): Readonly<Record<string, RawFunction>>
  /** Value of this thread's `errno`; right only when nothing else was called since the failure. */
  readErrno(): number
  /** The address of bytes that the caller keeps alive. */
  addressOf(bytes: Uint8Array): number
  /** A copy of foreign memory. */
  copyFrom(address: number, length: number): Uint8Array
}

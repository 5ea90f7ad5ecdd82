/**
 * The libc functions that Lariat calls, once for people (the {@link Libc} interface) and once for
 * the FFI layers of both runtimes ({@link SIGNATURES}). Only functions that glibc 2.28 and musl
 * 1.2.3 both export under one name, and only structures that are equal on x86-64 and arm64.
 */

/** Memory that C may read or write during the call; null is the null pointer. */
export type Memory = Uint8Array | null

/** Raw functions: numbers and bytes, -1 for failure with the reason in `errno()`. */
export interface Libc {
  _exit(status: number): void
  accept4(fd: number, address: Memory, addressLength: Memory, flags: number): number
  /** The error number itself, EINPROGRESS while it runs. */
  aio_error(control: Memory): number
  aio_return(control: Memory): number
  aio_write(control: Memory): number
  bind(fd: number, address: Memory, length: number): number
  chmod(path: Memory, mode: number): number
  clock_gettime(clock: number, timespec: Memory): number
  close(fd: number): number
  connect(fd: number, address: Memory, length: number): number
  dup3(fd: number, wanted: number, flags: number): number
  eventfd(initial: number, flags: number): number
  /** Only commands whose argument is an int. */
  fcntl(fd: number, command: number, argument: number): number
  fchmod(fd: number, mode: number): number
  flock(fd: number, operation: number): number
  fstatfs(fd: number, statfs: Memory): number
  fsync(fd: number): number
  geteuid(): number
  getpid(): number
  getppid(): number
  getsockname(fd: number, address: Memory, addressLength: Memory): number
  getsockopt(fd: number, level: number, name: number, value: Memory, length: Memory): number
  gettid(): number
  if_nametoindex(name: Memory): number
  inet_pton(family: number, text: Memory, into: Memory): number
  ioctl(fd: number, request: number, argument: Memory): number
  kill(pid: number, signal: number): number
  listen(fd: number, backlog: number): number
  /** `address` as a number, because the memory is not JavaScript's. */
  madvise(address: number, length: number, advice: number): number
  mincore(address: number, length: number, vector: Memory): number
  mlock(address: number, length: number): number
  /** The address as a number, -1 for failure. */
  mmap(
    address: number,
    length: number,
    protection: number,
    flags: number,
    fd: number,
    offset: number,
  ): number
  mount(source: Memory, target: Memory, type: Memory, flags: number, data: Memory): number
  munlock(address: number, length: number): number
  munmap(address: number, length: number): number
  open(path: Memory, flags: number, mode: number): number
  openat(directory: number, path: Memory, flags: number, mode: number): number
  pipe2(fds: Memory, flags: number): number
  poll(fds: Memory, count: number, timeoutMs: number): number
  posix_fadvise(fd: number, offset: number, length: number, advice: number): number
  pread(fd: number, into: Memory, length: number, offset: number): number
  prctl(option: number, a: number, b: number, c: number, d: number): number
  prlimit(pid: number, resource: number, wanted: Memory, old: Memory): number
  read(fd: number, into: Memory, length: number): number
  recv(fd: number, into: Memory, length: number, flags: number): number
  recvfrom(
    fd: number,
    into: Memory,
    length: number,
    flags: number,
    address: Memory,
    addressLength: Memory,
  ): number
  /** `header` is a struct msghdr; its pointers come from `addressOf`. */
  recvmsg(fd: number, header: Memory, flags: number): number
  rename(from: Memory, to: Memory): number
  send(fd: number, from: Memory, length: number, flags: number): number
  /** `header` is a struct msghdr; its pointers come from `addressOf`. */
  sendmsg(fd: number, header: Memory, flags: number): number
  /** `headers` are `count` structs mmsghdr. */
  sendmmsg(fd: number, headers: Memory, count: number, flags: number): number
  sendto(
    fd: number,
    from: Memory,
    length: number,
    flags: number,
    address: Memory,
    addressLength: number,
  ): number
  setns(fd: number, type: number): number
  setsockopt(fd: number, level: number, name: number, value: Memory, length: number): number
  shutdown(fd: number, how: number): number
  socket(domain: number, type: number, protocol: number): number
  socketpair(domain: number, type: number, protocol: number, fds: Memory): number
  /** Instead of fstat(2), whose structure differs between processors and whose symbol is young. */
  statx(directory: number, path: Memory, flags: number, mask: number, statx: Memory): number
  sysconf(name: number): number
  umask(mask: number): number
  umount2(target: Memory, flags: number): number
  unlink(path: Memory): number
  unshare(flags: number): number
  write(fd: number, from: Memory, length: number): number
}

/**
 * Result, then arguments, a letter each: `v` nothing, `i` int, `u` unsigned int, `l` a 64-bit
 * long, size_t, off_t or address, `b` bytes or null. C's variadic functions (open, openat, fcntl,
 * ioctl, prctl) may be called with a fixed signature: on Linux both processors pass integer
 * arguments the same way in either case.
 */
export const SIGNATURES: Readonly<Record<keyof Libc, string>> = {
  _exit: "vi",
  accept4: "iibbi",
  aio_error: "ib",
  aio_return: "lb",
  aio_write: "ib",
  bind: "iibi",
  chmod: "ibu",
  clock_gettime: "iib",
  close: "ii",
  connect: "iibi",
  dup3: "iiii",
  eventfd: "iui",
  fcntl: "iiii",
  fchmod: "iiu",
  flock: "iii",
  fstatfs: "iib",
  fsync: "ii",
  geteuid: "u",
  getpid: "i",
  getppid: "i",
  getsockname: "iibb",
  getsockopt: "iiiibb",
  gettid: "i",
  if_nametoindex: "ub",
  inet_pton: "iibb",
  ioctl: "iilb",
  kill: "iii",
  listen: "iii",
  madvise: "illi",
  mincore: "illb",
  mlock: "ill",
  mmap: "llliiil",
  mount: "ibbblb",
  munlock: "ill",
  munmap: "ill",
  open: "ibiu",
  openat: "iibiu",
  pipe2: "ibi",
  poll: "ibli",
  posix_fadvise: "iilli",
  prctl: "iillll",
  pread: "libll",
  prlimit: "iiibb",
  read: "libl",
  recv: "libli",
  recvfrom: "liblibb",
  recvmsg: "libi",
  rename: "ibb",
  send: "libli",
  sendmsg: "libi",
  sendmmsg: "iibui",
  sendto: "liblibi",
  setns: "iii",
  setsockopt: "iiiibi",
  shutdown: "iii",
  socket: "iiii",
  socketpair: "iiiib",
  statx: "iibiub",
  sysconf: "li",
  umask: "uu",
  umount2: "ibi",
  unlink: "ib",
  unshare: "ii",
  write: "libl",
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

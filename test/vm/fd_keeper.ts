/** What systemd does for a service with FileDescriptorStoreMax=, without systemd: sd_notify(3). */
import { readlinkSync } from "node:fs"
import { SystemError } from "../../src/sys/ffi/errno.ts"
import { errno, libc } from "../../src/sys/ffi/libc.ts"
import { MessageBuffer } from "../../src/sys/net/message_header.ts"
import { openSocket, SOCK_DGRAM, SOCK_NONBLOCK, SOL_SOCKET } from "../../src/sys/net/socket.ts"
import { AF_UNIX, unixSocketAddress } from "../../src/sys/net/socket_address.ts"

/** include/linux/socket.h */
const SCM_RIGHTS = 1

/** Keeps descriptors for a program that is started again and again. */
export class FdKeeper {
  readonly #path: string
  readonly #fd: number
  readonly #buffer = new MessageBuffer(4096)
  /** Name, then descriptor. */
  readonly #kept: (readonly [name: string, fd: number])[] = []

  /** @param path of the socket that it listens on; short */
  constructor(path: string) {
    this.#path = path
    this.#fd = openSocket(AF_UNIX, SOCK_DGRAM | SOCK_NONBLOCK)
    const { bytes } = unixSocketAddress(path)
    if (libc.bind(this.#fd, bytes, bytes.length) !== 0) {
      throw new SystemError(errno(), "bind", `listen on ${path}`)
    }
  }

  /** Names of what is kept. */
  get names(): string[] {
    this.#drain()
    return this.#kept.map(([name]) => name)
  }

  /** For the program's first start. */
  get env(): Record<string, string> {
    return { NOTIFY_SOCKET: this.#path }
  }

  /** For the next start: its variables, and what its descriptors from 3 on are to be. */
  hand(): { readonly env: Record<string, string>; readonly descriptors: readonly number[] } {
    const { names } = this
    const env = { LISTEN_FDS: String(names.length), LISTEN_FDNAMES: names.join(":") }
    return { env: { ...this.env, ...env }, descriptors: this.#kept.map(([, fd]) => fd) }
  }

  close(): void {
    this.#drain()
    for (const [, fd] of this.#kept) libc.close(fd)
    libc.close(this.#fd)
  }

  #drain(): void {
    for (;;) {
      const message = this.#buffer.receive(this.#fd, 0)
      if (typeof message === "number") return
      const lines = new TextDecoder().decode(message.data).split("\n")
      const name = lines.find((line) => line.startsWith("FDNAME="))?.slice("FDNAME=".length)
      for (const { level, type, data } of message.control) {
        if (level !== SOL_SOCKET || type !== SCM_RIGHTS) continue
        const fd = new DataView(data.buffer, data.byteOffset).getInt32(0, true)
        if (lines.includes("FDSTORE=1") && name !== undefined) this.#keep(name, fd)
        else libc.close(fd)
      }
      if (lines.includes("FDSTOREREMOVE=1")) this.#remove(name)
    }
  }

  /** As systemd: the same file is not kept twice. */
  #keep(name: string, fd: number): void {
    const file = (one: number) => readlinkSync(`/proc/self/fd/${one}`)
    if (this.#kept.some(([, kept]) => file(kept) === file(fd))) libc.close(fd)
    else this.#kept.push([name, fd])
  }

  #remove(name: string | undefined): void {
    for (const entry of this.#kept.filter(([kept]) => kept === name)) {
      libc.close(entry[1])
      this.#kept.splice(this.#kept.indexOf(entry), 1)
    }
  }
}

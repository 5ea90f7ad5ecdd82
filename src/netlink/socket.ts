/**
 * A netlink socket: requests, batches, dumps, notifications.
 *
 * The kernel works on a request within send(2): when that returns, its answers are queued on the
 * socket. So nothing here ever waits: an answer that is not there will not come.
 */

import { AsyncWrite } from "../sys/aio.ts"
import { check, EAGAIN, EINTR, ENOBUFS, ENODEV, SystemError } from "../sys/ffi/errno.ts"
import { errno, libc } from "../sys/ffi/libc.ts"
import { type Netns, socketIn } from "../sys/netns/netns.ts"
import * as c from "./constants.ts"
import { EPROTO, NetlinkError, parseAck } from "./error.ts"
import { type Message, type MessageWriter, parseMessages } from "./message.ts"

export interface NetlinkOptions {
  /**
   * Multicast groups to hear (RTNLGRP_*). Default none. With groups the buffer is 8 MB, and the
   * socket serves `receive` alone: a request would throw notifications away.
   */
  readonly groups?: readonly number[]
  /** The namespace that the socket belongs to. Default: the current one. */
  readonly netns?: Netns
}

/** Bytes that wait for us at most: about 10,000 notifications. */
const LARGE_BUFFER_BYTES = 8 * 1024 * 1024
/** A batch of more needs the large buffer: its acknowledgements cost about 800 bytes each. */
const SMALL_BATCH = { messages: 100, bytes: 64 * 1024 }
const MAX_DUMP_ATTEMPTS = 5
/** struct sockaddr_nl: family (2), pad (2), port id (4), groups (4). */
const SOCKADDR_BYTES = 12

/** Shared by all sockets of a thread: every use is over before the next begins. */
let scratch = new Uint8Array(64 * 1024)
const sender = new Uint8Array(SOCKADDR_BYTES)
const senderView = new DataView(sender.buffer)
const senderLength = new Uint8Array(4)
const senderLengthView = new DataView(senderLength.buffer)

/** What came back to one message of a batch. */
export interface Outcome {
  /** Without the acknowledgement. */
  readonly answers: readonly Message[]
  readonly error: NetlinkError | undefined
}

/** How a batch is acknowledged. */
export interface BatchOptions {
  /**
   * The kernel answers each message before it looks at the next, as rtnetlink does: the last one's
   * acknowledgement tells that all before it were done, save those that were refused. Spares the
   * reading of the others'. Default false.
   */
  readonly inOrder?: boolean
}

interface Exchange extends Outcome {
  readonly writer: MessageWriter
  readonly answers: Message[]
  done: boolean
  error: NetlinkError | undefined
}

export class NetlinkSocket {
  /** The descriptor; -1 after close. */
  fd: number
  /** Our port id: answers carry it. */
  readonly pid: number
  #seq = 0
  #large = false
  /** An exchange ended early and may have left answers, or a dump that still runs. */
  #dirty = false

  private constructor(fd: number, pid: number) {
    this.fd = fd
    this.pid = pid
  }

  /**
   * Opens a socket; it stays bound to its network namespace.
   *
   * @param protocol NETLINK_ROUTE, NETLINK_NETFILTER, NETLINK_XFRM, …
   * @throws SystemError
   */
  static open(protocol: number, options: NetlinkOptions = {}): NetlinkSocket {
    const { netns, groups = [] } = options
    const type = c.SOCK_RAW | c.SOCK_CLOEXEC
    const fd =
      netns === undefined
        ? check(libc.socket(c.AF_NETLINK, type, protocol), "socket", "open a netlink socket")
        : socketIn(netns, c.AF_NETLINK, type, protocol)
    try {
      // All three only make answers better; kernels that lack one still work.
      setOption(fd, c.SOL_NETLINK, c.NETLINK_EXT_ACK, 1)
      setOption(fd, c.SOL_NETLINK, c.NETLINK_CAP_ACK, 1)
      if (protocol === c.NETLINK_ROUTE) setOption(fd, c.SOL_NETLINK, c.NETLINK_GET_STRICT_CHK, 1)
      const socket = new NetlinkSocket(fd, connect(fd))
      if (groups.length > 0) socket.#enlarge()
      for (const group of groups) {
        if (setOption(fd, c.SOL_NETLINK, c.NETLINK_ADD_MEMBERSHIP, group) < 0) {
          throw new SystemError(errno(), "setsockopt", `join netlink group ${group}`)
        }
      }
      return socket
    } catch (error) {
      libc.close(fd)
      throw error
    }
  }

  /** A socket that another thread has open, for {@link receive} alone. */
  static share(fd: number): NetlinkSocket {
    return new NetlinkSocket(fd, 0)
  }

  /**
   * Sends one request and reads its answers until the kernel acknowledges it.
   *
   * @returns the answers without the acknowledgement
   * @throws NetlinkError the kernel refused, or its answer was lost
   */
  request(message: MessageWriter): readonly Message[] {
    return this.requestAll([message])[0] ?? []
  }

  /**
   * Sends one request that may be refused, as what is asked for may not be there, or what is to be
   * made may be.
   *
   * @param expected errors that are as good as done
   * @returns the first answer; undefined where there is none
   * @throws NetlinkError of any other refusal
   */
  attempt(message: MessageWriter, ...expected: readonly number[]): Message | undefined {
    try {
      return this.request(message)[0]
    } catch (error) {
      if (error instanceof NetlinkError && expected.includes(error.errno)) return undefined
      throw error
    }
  }

  /**
   * Sends requests in one datagram. The kernel works on each of them even when one before it
   * failed (nftables excepted, whose batches are transactions).
   *
   * @returns the answers to each
   * @throws NetlinkError of the first that was refused
   */
  requestAll(batch: readonly MessageWriter[], options: BatchOptions = {}): (readonly Message[])[] {
    return this.tryAll(batch, options).map(({ answers, error }) => {
      if (error !== undefined) throw error
      return answers
    })
  }

  /**
   * As `requestAll`, but a refusal stands beside its message instead of being thrown.
   *
   * @throws NetlinkError the batch was not sent, or answers were lost
   */
  tryAll(batch: readonly MessageWriter[], options: BatchOptions = {}): readonly Outcome[] {
    const { inOrder = false } = options
    if (batch.length === 0) return []
    this.#drain()
    const first = this.#seq + 1
    const asks = (writer: MessageWriter, at: number) =>
      writer.ack && (!inOrder || at === batch.length - 1)
    const bytes = this.#encode(batch, asks)
    const exchanges = batch.map(
      (writer, at): Exchange => ({
        writer,
        answers: [],
        done: !asks(writer, at),
        error: undefined,
      }),
    )
    this.#dirty = true
    this.#send(bytes, batch[0]?.operation ?? "")
    this.#collect(exchanges, first, !inOrder)
    this.#dirty = false
    return exchanges
  }

  /**
   * Sends a request by another thread: for what keeps the kernel busy longer than this thread can
   * wait. The socket must serve nothing else meanwhile, and stay open.
   *
   * @returns tells whether the kernel has answered; throws NetlinkError when it refused
   * @throws LariatError busy when there is no thread for it
   */
  requestElsewhere(message: MessageWriter): () => boolean {
    const bytes = this.#encode([message], () => true)
    const first = this.#seq
    const write = new AsyncWrite(this.fd, bytes)
    return () => {
      if (!write.isOver()) return false
      const exchange: Exchange = { writer: message, answers: [], done: false, error: undefined }
      this.#collect([exchange], first, false)
      if (exchange.error !== undefined) throw exchange.error
      return true
    }
  }

  /**
   * Lists things: sends a GET request as a dump. A dump that a change interrupted is repeated, up
   * to 5 times.
   *
   * @throws NetlinkError the kernel refused, or the dump never became consistent
   */
  dump(message: MessageWriter): Message[] {
    for (let attempt = 1; attempt <= MAX_DUMP_ATTEMPTS; attempt++) {
      const answers = this.#dumpOnce(message)
      if (answers !== undefined) return answers
    }
    throw new NetlinkError(message.operation, EINTR, {
      reason: `it changed during each of ${MAX_DUMP_ATTEMPTS} attempts (NLM_F_DUMP_INTR)`,
      hint: "Try again when fewer links, addresses or routes come and go.",
    })
  }

  /**
   * The next datagram of the kernel, a copy, or undefined when none waits.
   *
   * @throws NetlinkError errnoName ENOBUFS when datagrams were lost: read the state again
   */
  receive(): Uint8Array | undefined {
    const length = this.#receive("read netlink messages")
    return length === undefined ? undefined : scratch.slice(0, length)
  }

  /** Closes the socket; a second call does nothing. */
  close(): void {
    if (this.fd < 0) return
    libc.close(this.fd)
    this.fd = -1
  }

  [Symbol.dispose](): void {
    this.close()
  }

  #encode(
    batch: readonly MessageWriter[],
    asks: (writer: MessageWriter, at: number) => boolean,
  ): Uint8Array {
    const parts = batch.map((writer, at) =>
      writer.finish(this.#nextSeq(), c.NLM_F_REQUEST | (asks(writer, at) ? c.NLM_F_ACK : 0)),
    )
    const [only] = parts
    if (only !== undefined && parts.length === 1) return only
    const bytes = new Uint8Array(parts.reduce((sum, part) => sum + part.byteLength, 0))
    let offset = 0
    for (const part of parts) {
      bytes.set(part, offset)
      offset += part.byteLength
    }
    if (batch.length > SMALL_BATCH.messages || bytes.byteLength > SMALL_BATCH.bytes) this.#enlarge()
    return bytes
  }

  /** @param late whether a message that asks for no acknowledgement is refused after the others */
  #collect(exchanges: readonly Exchange[], first: number, late: boolean): void {
    let waiting = exchanges.filter(({ done }) => !done).length
    const drain = late && waiting < exchanges.length
    while (waiting > 0 || drain) {
      const messages = this.#messages(exchanges[0]?.writer.operation ?? "")
      if (messages === undefined) break
      for (const message of messages) {
        const exchange = exchanges[(message.seq - first) >>> 0]
        if (exchange === undefined || message.pid !== this.pid) continue
        if (message.type !== c.NLMSG_ERROR) {
          exchange.answers.push(message)
          continue
        }
        const { errno, extAck } = parseAck(message)
        if (errno !== 0) {
          exchange.error ??= new NetlinkError(exchange.writer.operation, errno, { extAck })
        }
        if (!exchange.done) waiting--
        exchange.done = true
      }
    }
    // A refused batch of nftables may answer for one of its messages alone.
    if (exchanges.some(({ error }) => error !== undefined)) return
    const silent = exchanges.find(({ done }) => !done)
    if (silent !== undefined) {
      throw new NetlinkError(silent.writer.operation, EPROTO, {
        reason: "the kernel gave no answer",
      })
    }
  }

  /** Undefined when the dump was interrupted. */
  #dumpOnce(message: MessageWriter): Message[] | undefined {
    this.#drain()
    const seq = this.#nextSeq()
    this.#dirty = true
    if (!this.#startDump(message, seq)) return undefined
    const answers: Message[] = []
    let interrupted = false
    for (;;) {
      const messages = this.#dumpMessages(message.operation)
      if (messages === "lost") return undefined
      for (const part of messages) {
        if (part.seq !== seq || part.pid !== this.pid) continue
        if ((part.flags & c.NLM_F_DUMP_INTR) !== 0) interrupted = true
        if (part.type !== c.NLMSG_DONE && part.type !== c.NLMSG_ERROR) {
          answers.push(part)
          continue
        }
        const { errno, extAck } = parseAck(part)
        this.#dirty = false
        if (errno !== 0) throw new NetlinkError(message.operation, errno, { extAck })
        return interrupted ? undefined : answers
      }
    }
  }

  /** False when there is no room for the first answer: what fills the buffer is drained next time. */
  #startDump(message: MessageWriter, seq: number): boolean {
    try {
      this.#send(message.finish(seq, c.NLM_F_REQUEST | c.NLM_F_DUMP), message.operation)
      return true
    } catch (error) {
      if (error instanceof NetlinkError && error.errno === ENOBUFS) return false
      throw error
    }
  }

  #dumpMessages(operation: string): Message[] | "lost" {
    try {
      const messages = this.#messages(operation)
      if (messages !== undefined) return messages
    } catch (error) {
      if (error instanceof NetlinkError && error.errno === ENOBUFS) return "lost"
      throw error
    }
    throw new NetlinkError(operation, EPROTO, { reason: "the kernel's list has no end" })
  }

  #messages(operation: string): Message[] | undefined {
    const length = this.#receive(operation)
    return length === undefined ? undefined : parseMessages(scratch.slice(0, length))
  }

  #nextSeq(): number {
    this.#seq = (this.#seq + 1) >>> 0
    return this.#seq
  }

  #send(bytes: Uint8Array, operation: string): void {
    while (libc.send(this.fd, bytes, bytes.byteLength, 0) < 0) {
      if (errno() !== EINTR) throw new NetlinkError(operation, errno())
    }
  }

  /** Reads one datagram into `scratch`; undefined when none waits. */
  #receive(operation: string): number | undefined {
    for (;;) {
      senderLengthView.setUint32(0, SOCKADDR_BYTES, true)
      const flags = c.MSG_DONTWAIT | c.MSG_TRUNC
      const length = libc.recvfrom(
        this.fd,
        scratch,
        scratch.byteLength,
        flags,
        sender,
        senderLength,
      )
      if (length < 0) {
        const reason = errno()
        if (reason === EINTR) continue
        if (reason === EAGAIN) return undefined
        throw new NetlinkError(operation, reason)
      }
      // Only the kernel has port id 0; a process may not answer in its place.
      if (senderView.getUint32(4, true) !== 0) continue
      if (length > scratch.byteLength) {
        scratch = new Uint8Array(2 ** Math.ceil(Math.log2(length)))
        throw new NetlinkError(operation, ENOBUFS, { reason: "an answer was too long and is lost" })
      }
      return length
    }
  }

  /** Throws away what an exchange that ended early left behind. */
  #drain(): void {
    while (this.#dirty) {
      try {
        if (this.#receive("read netlink messages") === undefined) this.#dirty = false
      } catch (error) {
        if (!(error instanceof NetlinkError && error.errno === ENOBUFS)) throw error
      }
    }
  }

  #enlarge(): void {
    if (this.#large) return
    this.#large = true
    setOption(this.fd, c.SOL_SOCKET, c.SO_RCVBUFFORCE, LARGE_BUFFER_BYTES)
    setOption(this.fd, c.SOL_SOCKET, c.SO_SNDBUFFORCE, LARGE_BUFFER_BYTES)
  }
}

/**
 * A dump that names a link, which may be gone by then: the kernel refuses, the list is empty.
 *
 * @throws NetlinkError of any other refusal
 */
export function dumpOfLink(socket: NetlinkSocket, message: MessageWriter): Message[] {
  try {
    return socket.dump(message)
  } catch (error) {
    if (error instanceof NetlinkError && error.errno === ENODEV) return []
    throw error
  }
}

function setOption(fd: number, level: number, name: number, value: number): number {
  const bytes = new Uint8Array(4)
  new DataView(bytes.buffer).setUint32(0, value, true)
  return libc.setsockopt(fd, level, name, bytes, bytes.byteLength)
}

/**
 * Connects to the kernel, which binds to a port id of its choice, and answers that.
 *
 * A connected socket takes messages from its peer alone (netlink_getsockbyportid in
 * af_netlink.c): no other process can fill its buffer, so that the kernel's answers are lost.
 */
function connect(fd: number): number {
  const address = new Uint8Array(SOCKADDR_BYTES)
  const view = new DataView(address.buffer)
  view.setUint16(0, c.AF_NETLINK, true)
  if (libc.connect(fd, address, SOCKADDR_BYTES) < 0) {
    throw new SystemError(errno(), "connect", "connect a netlink socket to the kernel")
  }
  const length = new Uint8Array(4)
  length[0] = SOCKADDR_BYTES
  if (libc.getsockname(fd, address, length) < 0) {
    throw new SystemError(errno(), "getsockname", "learn a netlink socket's port")
  }
  return view.getUint32(4, true)
}

/**
 * A thread that waits for descriptors in poll(2): the event loop cannot wait for every kind, and
 * reading one by a timer costs a wake-up each time. An eventfd beside them tells it to stop.
 */

import type { LariatError } from "../../errors.ts"
import { check, EBADF, EINTR, SystemError } from "./errno.ts"
import { errno, libc } from "./libc.ts"
import { POLLIN } from "./poll.ts"
import { type RunningWorker, serveWorker, startWorker } from "./worker.ts"

/** EFD_CLOEXEC of sys/eventfd.h. */
const EFD_CLOEXEC = 0o2000000
/** include/uapi/asm-generic/poll.h: no open descriptor. */
const POLLNVAL = 0x20
/** struct pollfd: int fd, short events, short revents. */
const POLLFD_BYTES = 8
const FOREVER = -1

/** What the thread is told: its order, and an eventfd; anything written to that stops the thread. */
interface Start<Order> {
  readonly order: Order
  readonly stopFd: number
}

/** What the thread tells. */
type Report<News> =
  | { readonly kind: "ready" }
  | { readonly kind: "stopped" }
  | { readonly kind: "news"; readonly news: News }

/** What the starter of a thread hears. */
export interface PollThreadEvents<News> {
  /** Nothing comes from the call of `stop` on, also not what is under way. */
  readonly onNews: (news: News) => void
  /** The thread ended by itself; nothing is heard any more. */
  readonly onFailure: (error: LariatError) => void
}

/** The starter's end: the thread runs until it is stopped. */
export class PollThread<Order, News> {
  /** Resolves when the thread runs. @throws LariatError when it does not come to that */
  readonly ready: Promise<void>
  /** Resolves when the thread has let go of its descriptors, stopped or failed. */
  readonly ended: Promise<void>
  readonly #events: PollThreadEvents<News>
  readonly #stopFd = check(libc.eventfd(0, EFD_CLOEXEC), "eventfd", "make an eventfd")
  readonly #worker: RunningWorker<Start<Order>>
  readonly #ready = Promise.withResolvers<void>()
  readonly #ended = Promise.withResolvers<void>()
  #state: "running" | "stopping" | "ended" = "running"

  /**
   * Starts a module that calls {@link servePollThread}.
   *
   * @param url see {@link startWorker}
   * @param order for the module; descriptors in it must stay open until the thread has ended
   * @throws SystemError
   */
  constructor(url: URL, order: Order, events: PollThreadEvents<News>) {
    this.#events = events
    this.ready = this.#ready.promise
    this.ended = this.#ended.promise
    // Who does not wait for it hears of the failure by its event.
    this.ready.catch(() => {})
    this.#worker = startWorker<Start<Order>, Report<News>>(url, {
      onMessage: (report) => this.#hear(report),
      onError: (error) => this.#fail(error),
    })
    this.#worker.post({ order, stopFd: this.#stopFd })
  }

  /** Stops the thread; resolves when it has ended. May be called twice. */
  stop(): Promise<void> {
    if (this.#state === "running") {
      this.#state = "stopping"
      const one = new Uint8Array(new BigUint64Array([1n]).buffer)
      check(libc.write(this.#stopFd, one, one.length), "write", "stop a thread")
    }
    return this.ended
  }

  #hear(report: Report<News>): void {
    if (report.kind === "ready") this.#ready.resolve()
    else if (report.kind === "stopped") this.#end()
    else if (this.#state === "running") this.#events.onNews(report.news)
  }

  #fail(error: LariatError): void {
    this.#ready.reject(error)
    const wanted = this.#state === "running"
    this.#end()
    if (wanted) this.#events.onFailure(error)
  }

  #end(): void {
    if (this.#state === "ended") return
    this.#state = "ended"
    this.#worker.terminate()
    libc.close(this.#stopFd)
    this.#ended.resolve()
  }
}

/** What a thread waits for. */
export interface Watched {
  readonly fds: readonly number[]
  /** How long more is gathered after the first that comes, ms. */
  readonly settleMs: number
  /** Reads what has come, and tells it. Throws what ends the thread. */
  readonly read: () => void
}

/** Called once at the top of the thread's module. It never returns to its event loop until stopped. */
export function servePollThread<Order, News>(
  watch: (order: Order, tell: (news: News) => void) => Watched,
): void {
  const scope = serveWorker<Start<Order>, Report<News>>(({ order, stopFd }) => {
    const watched = watch(order, (news) => scope.post({ kind: "news", news }))
    const poll = pollerOf([stopFd, ...watched.fds])
    scope.post({ kind: "ready" })
    while (poll() === "come") {
      libc.poll(null, 0, watched.settleMs)
      watched.read()
    }
    scope.post({ kind: "stopped" })
  })
}

/** Waits for the descriptors, of which the first is the word to stop. */
function pollerOf(fds: readonly number[]): () => "stop" | "come" {
  const pollfds = new Uint8Array(new ArrayBuffer(fds.length * POLLFD_BYTES))
  const view = new DataView(pollfds.buffer)
  fds.forEach((fd, at) => {
    view.setInt32(at * POLLFD_BYTES, fd, true)
    view.setInt16(at * POLLFD_BYTES + 4, POLLIN, true)
  })
  const happened = (at: number) => view.getInt16(at * POLLFD_BYTES + 6, true)
  return () => {
    while (libc.poll(pollfds, fds.length, FOREVER) < 0) {
      if (errno() !== EINTR) throw new SystemError(errno(), "poll", "wait for descriptors")
    }
    if (happened(0) !== 0) return "stop"
    // It would be told at once, for ever.
    if (fds.some((_, at) => (happened(at) & POLLNVAL) !== 0)) {
      throw new SystemError(EBADF, "poll", "wait for descriptors")
    }
    return "come"
  }
}

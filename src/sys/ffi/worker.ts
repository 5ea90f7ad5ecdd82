/**
 * A second JavaScript thread with typed messages, on both runtimes and in the compiled binary.
 *
 * The binary holds a worker only if its file is given to `bun build --compile` as one more entry
 * point, and `new URL("./x_worker.ts", import.meta.url)` finds it only if entry points are embedded
 * flat, because bundled code no longer knows its folder. So the build must pass
 * `--entry-naming=[name].[ext]` and every `src/**\/*_worker.ts`, and no two may share a name.
 */

import { LariatError } from "../../errors.ts"

/** The starter's end of a worker. */
export interface RunningWorker<In> {
  /** Sends one message; it is copied (structured clone). */
  post(message: In): void
  /**
   * Stops the worker at its next return to its event loop. A worker that blocks in a system call
   * must be woken first, for instance by an eventfd that it polls.
   */
  terminate(): void
}

/** What the starter hears. */
export interface WorkerEvents<Out> {
  readonly onMessage: (message: Out) => void
  /** An error that nothing in the worker caught; the worker is gone then. */
  readonly onError: (error: LariatError) => void
}

/**
 * Starts a module as a worker.
 *
 * @param url always written as `new URL("./x_worker.ts", import.meta.url)`
 */
export function startWorker<In, Out>(url: URL, events: WorkerEvents<Out>): RunningWorker<In> {
  const worker = new Worker(url, { type: "module" })
  worker.onmessage = (event: MessageEvent) => events.onMessage(event.data as Out)
  worker.onerror = (event) => {
    // Without this Deno would end the process.
    event.preventDefault()
    const name = url.pathname.slice(url.pathname.lastIndexOf("/") + 1)
    events.onError(
      new LariatError(`Cannot go on with the worker ${name}: ${event.message}`, {
        code: "internal",
        cause: event.error,
      }),
    )
  }
  return {
    post: (message) => worker.postMessage(message),
    terminate: () => void worker.terminate(),
  }
}

/** The worker's own end. */
export interface WorkerScope<Out> {
  post(message: Out): void
}

interface Scope {
  onmessage: ((event: MessageEvent) => void) | null
  postMessage(message: unknown): void
}

/**
 * Called once at the top of a worker's module: takes the starter's messages.
 *
 * @throws LariatError internal on the main thread
 */
export function serveWorker<In, Out>(onMessage: (message: In) => void): WorkerScope<Out> {
  const scope = globalThis as unknown as Scope
  if (typeof scope.postMessage !== "function") {
    throw new LariatError("Cannot serve as a worker: this is the main thread", {
      code: "internal",
    })
  }
  scope.onmessage = (event) => onMessage(event.data as In)
  return { post: (message) => scope.postMessage(message) }
}

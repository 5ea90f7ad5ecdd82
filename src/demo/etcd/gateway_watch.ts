/** A watch of the small etcd, as the stream that its JSON gateway makes of it. */

import type { Cancel } from "../../cluster/store/dependencies.ts"
import { countField, type Fields, flagField } from "../../cluster/store/etcd/codec.ts"
import { kvOf, rangeField } from "./gateway_keys.ts"
import { inRange, type KeyHistory, type KeyVersion } from "./key_history.ts"

/** What a stream needs. */
export interface WatchParts {
  readonly history: KeyHistory
  /** The header of an answer, now. */
  readonly header: () => object
  readonly after: (ms: number, call: () => void) => Cancel
  /** How often it says that it is alive, ms. */
  readonly progressMs: number
  /** Ends it. */
  readonly signal: AbortSignal
}

/** Messages that wait for a client which does not read; beyond that the stream ends. */
const MAX_WAITING = 1000

/**
 * The messages of one watch, a line each: what was written since `start_revision`, then what is.
 *
 * @param request `WatchCreateRequest`
 * @throws Refusal, LariatError decode
 */
export function watchStream(request: Fields, parts: WatchParts): ReadableStream<Uint8Array> {
  const { history, header, signal } = parts
  const range = rangeField(request)
  const from = countField(request, "start_revision")
  const progress = flagField(request, "progress_notify")
  const encoder = new TextEncoder()
  let end = () => {}
  return new ReadableStream<Uint8Array>(
    {
      start(controller) {
        let cancel: Cancel | undefined
        let open = true
        const send = (result: object) => {
          if (!open) return
          const line = JSON.stringify({ result: { header: header(), ...result } })
          controller.enqueue(encoder.encode(`${line}\n`))
          if ((controller.desiredSize ?? 0) <= 0) end()
        }
        const tell = (versions: readonly KeyVersion[]) => {
          const events = versions.filter(({ key }) => inRange(range, key)).map(eventOf)
          if (events.length > 0) send({ events })
        }
        const alive = () => {
          cancel = parts.after(parts.progressMs, () => {
            send({})
            if (open) alive()
          })
        }
        const unlisten = history.listen(tell)
        end = () => {
          if (!open) return
          open = false
          unlisten()
          cancel?.()
          signal.removeEventListener("abort", end)
          try {
            controller.close()
          } catch {
            // The reader cancelled it.
          }
        }
        signal.addEventListener("abort", end, { once: true })
        if (signal.aborted) return end()
        send({ created: true })
        if (from > 0 && from < history.compacted) {
          send({ canceled: true, compact_revision: String(history.compacted) })
          return end()
        }
        if (progress) alive()
        if (from > 0) for (const versions of transactions(history.since(from))) tell(versions)
      },
      cancel: () => end(),
    },
    new CountQueuingStrategy({ highWaterMark: MAX_WAITING }),
  )
}

/** Events of one revision together. */
function transactions(events: readonly KeyVersion[]): Iterable<readonly KeyVersion[]> {
  return Map.groupBy(events, ({ revision }) => revision).values()
}

/** `mvccpb.Event`; a put is the default and left out. */
function eventOf(version: KeyVersion): object {
  const kv = kvOf(version)
  return version.value === undefined ? { type: "DELETE", kv } : { kv }
}

/** How {@link persist} goes on. */
export interface PersistOptions {
  /** From a failure to the next attempt, milliseconds. */
  readonly retryMs: number
  /** Whether nobody wants it any more. */
  readonly isOver: () => boolean
  readonly onFailure: (error: unknown) => void
}

/** Does work again until it succeeds; undefined when it is over before. */
export async function persist<T>(
  work: () => Promise<T>,
  { retryMs, isOver, onFailure }: PersistOptions,
): Promise<T | undefined> {
  for (;;) {
    try {
      return await work()
    } catch (error) {
      onFailure(error)
    }
    if (isOver()) return undefined
    await new Promise((resolve) => setTimeout(resolve, retryMs))
    if (isOver()) return undefined
  }
}

import { messageOf } from "../errors.ts"

/**
 * Does the work, then closes, whatever came of it. Where both fail the work's failure is thrown,
 * and the other one told: it is often only what followed from the first.
 *
 * @param tell default: standard error
 * @throws what `work` throws; else what `close` throws
 */
export async function closing<T>(
  work: () => Promise<T>,
  close: () => Promise<void>,
  tell: (text: string) => void = (text) => console.error(`lariat: ${text}`),
): Promise<T> {
  let result: T
  try {
    result = await work()
  } catch (error) {
    await close().catch((other) => tell(messageOf(other)))
    throw error
  }
  await close()
  return result
}

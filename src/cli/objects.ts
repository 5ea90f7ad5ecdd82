/** What the servers over a file of objects have in common. */

import { messageOf } from "../errors.ts"
import type { ObjectsFile } from "../metadata/objects_file.ts"
import { readText } from "./validate.ts"

/** Puts a file's text to use, and gives what it read. @throws LariatError when it cannot */
export type Load = (name: string, text: string, earlier: ObjectsFile | undefined) => ObjectsFile

/**
 * Loads a file now, and again with each SIGHUP; one that cannot be read then changes nothing.
 *
 * @throws LariatError what `load` throws the first time
 */
export function onObjects(path: string, load: Load): void {
  let file = load(path, readText(path), undefined)
  process.on("SIGHUP", () => {
    try {
      file = load(path, readText(path), file)
    } catch (error) {
      console.error(`lariat: going on with the objects as they were: ${messageOf(error)}`)
    }
  })
}

/** Waits for the first of some signals. */
export function until(signals: readonly NodeJS.Signals[]): Promise<void> {
  return new Promise((resolve) => {
    for (const signal of signals) process.once(signal, () => resolve())
  })
}

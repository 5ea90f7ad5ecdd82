/** What the servers over a file of objects have in common. */

import { messageOf } from "../errors.ts"
import { Model } from "../metadata/model.ts"
import { loadObjects, type ObjectsFile, parseObjectsFile } from "../metadata/objects_file.ts"
import { readText } from "./validate.ts"

/**
 * A model of the objects of a file, which is read again with each SIGHUP; when it cannot be read
 * then, the model stays as it is.
 *
 * @throws LariatError when it cannot be read the first time
 */
export function modelOf(path: string): Model {
  const model = new Model()
  const load = (earlier?: ObjectsFile): ObjectsFile => {
    const file = parseObjectsFile(path, readText(path))
    loadObjects(model, file, earlier)
    return file
  }
  let file = load()
  process.on("SIGHUP", () => {
    try {
      file = load(file)
    } catch (error) {
      console.error(`lariat: keeping the objects as they were: ${messageOf(error)}`)
    }
  })
  return model
}

/** Waits for the first of some signals. */
export function until(signals: readonly NodeJS.Signals[]): Promise<void> {
  return new Promise((resolve) => {
    for (const signal of signals) process.once(signal, () => resolve())
  })
}

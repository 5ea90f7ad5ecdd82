import { readFileSync, statSync } from "node:fs"
import { LariatError, messageOf } from "../../errors.ts"
import type { Model } from "../../metadata/model.ts"
import { loadObjects, type ObjectsFile, parseObjectsFile } from "../../metadata/objects_file.ts"
import { type ModelRecord, recordKey } from "../../metadata/records.ts"
import type { Health } from "../health.ts"

/** What the objects go to, and who hears what is wrong with them. */
export interface ObjectsSink {
  readonly model: Model
  readonly health: Health
}

/** A file beyond this is none that a person wrote. */
const MAX_BYTES = 16 * 1024 * 1024
const PROBLEM = "metadata-objects"
const NOTHING: ObjectsFile = { records: [], selfHostUuid: undefined, version: undefined }

/**
 * The objects of a static file beside what the agent knows itself: external services and the like.
 * They never take the place of what is there, and a file that cannot be read changes nothing.
 */
export class MetadataObjects {
  readonly #sink: ObjectsSink
  #path: string | undefined
  /** Of the file as it was last read, good or bad. */
  #stamp: string | undefined
  #loaded = NOTHING

  constructor(sink: ObjectsSink) {
    this.#sink = sink
  }

  /** Reads a file now, instead of the one before; undefined takes away what that one brought. */
  read(path: string | undefined): void {
    this.#path = path
    this.#stamp = undefined
    this.refresh()
  }

  /** Reads the file again where it is another than it was. */
  refresh(): void {
    const { health } = this.#sink
    try {
      const stamp = this.#path === undefined ? "none" : stampOf(this.#path)
      if (stamp === this.#stamp) return
      this.#stamp = stamp
      this.#load(this.#path === undefined ? NOTHING : readObjects(this.#path))
      health.clear(PROBLEM)
    } catch (error) {
      health.raise(PROBLEM, {
        severity: "error",
        what: `${messageOf(error)}; going on with the objects as they were`,
        hint: error instanceof LariatError ? error.hint : undefined,
      })
    }
  }

  #load(file: ObjectsFile): void {
    const { model } = this.#sink
    // What somebody else has put in the place of ours is theirs.
    const ours = this.#loaded.records.filter((record) => recordAt(model, record) === record)
    const keys = new Set(ours.map(keyOf))
    const records = file.records.filter((record) => {
      if (record.metadata_kind === "environment") return false
      return recordAt(model, record) === undefined || keys.has(keyOf(record))
    })
    loadObjects(model, { ...NOTHING, records }, { ...NOTHING, records: ours })
    // An equal record leaves the one that was there.
    const kept = records.map((record) => recordAt(model, record) ?? record)
    this.#loaded = { ...NOTHING, records: kept }
  }
}

function keyOf(record: ModelRecord): string {
  return `${record.metadata_kind} ${recordKey(record)}`
}

function recordAt(model: Model, record: ModelRecord): ModelRecord | undefined {
  return model.get(record.metadata_kind, recordKey(record))
}

function readObjects(path: string): ObjectsFile {
  return parseObjectsFile(path, readFileSync(path, "utf8"))
}

/** Another for each version of a file, also of one that was moved to its place. */
function stampOf(path: string): string {
  const { ino, size, mtimeMs, ctimeMs } = statSync(path)
  if (size > MAX_BYTES) {
    throw new LariatError(`Cannot read ${path}: it has ${size} bytes`, {
      code: "config-invalid",
      hint: `objects may have ${MAX_BYTES} bytes at most`,
    })
  }
  return `${path} ${ino} ${size} ${mtimeMs} ${ctimeMs}`
}

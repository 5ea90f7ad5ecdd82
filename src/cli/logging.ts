import { configure, type LogLevel, type LogRecord } from "@logtape/logtape"
import { LariatError } from "../errors.ts"
import { writeFd } from "../sys/ffi/file.ts"

/** Names of levels as LARIAT_LOG and agent.yml have them. */
const LEVELS = ["debug", "info", "warning", "error"] as const satisfies readonly LogLevel[]

/** Standard error. */
const STDERR_FD = 2

/**
 * Sends the log to standard error: one line each, with the time unless journald adds it.
 *
 * @param level the least severe level that is written
 */
export async function startLogging(level: LogLevel): Promise<void> {
  const timed = process.env.JOURNAL_STREAM === undefined
  const encoder = new TextEncoder()
  await configure({
    sinks: {
      stderr: (record) => writeFd(STDERR_FD, encoder.encode(logLine(record, timed))),
    },
    loggers: [
      { category: "lariat", lowestLevel: level, sinks: ["stderr"] },
      { category: ["logtape", "meta"], lowestLevel: "warning", sinks: ["stderr"] },
    ],
  })
}

/** One record as one line: control characters in it cannot start another. */
export function logLine({ level, message, timestamp }: LogRecord, timed: boolean): string {
  const text = message
    .map((part) => (typeof part === "string" ? part : String(part)))
    .join("")
    .replace(/\p{Cc}/gu, " ")
  const time = timed ? `${new Date(timestamp).toISOString()} ` : ""
  return `${time}${level}: ${text}\n`
}

/**
 * The level that a text names.
 *
 * @throws LariatError `usage`
 */
export function logLevel(text: string): (typeof LEVELS)[number] {
  const level = LEVELS.find((known) => known === text)
  if (level !== undefined) return level
  throw new LariatError(`Cannot log at level ${JSON.stringify(text)}: no such level`, {
    code: "usage",
    hint: `set LARIAT_LOG to one of ${LEVELS.join(", ")}`,
  })
}

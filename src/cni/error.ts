/**
 * Errors as CNI wants them: a number, a message and details, printed as JSON on standard output.
 * The numbers are a contract with runtimes and scripts: never change the meaning of one.
 */

import { type ErrorCode, type ErrorDetails, LariatError, messageOf } from "../errors.ts"
import type { CniResponse } from "./protocol.ts"
import { oneLine } from "./text.ts"

/** STATUS: the plugin cannot serve an ADD (CNI SPEC 1.1.0, Error). */
export const NOT_AVAILABLE = 50

/**
 * The CNI number of each of our codes. 1 to 11 are the specification's (8 is libcni's); from 100 on
 * they are our own. Every failure that passes by itself is 11, so that a runtime tries again; an
 * exhausted pool is not, because only someone's action empties it for sure.
 */
export const CNI_CODES: Readonly<Record<ErrorCode, number>> = {
  "version-unsupported": 1,
  "field-unsupported": 2,
  "not-attached": 3,
  environment: 4,
  usage: 4,
  io: 5,
  decode: 6,
  "config-invalid": 7,
  "network-foreign": 7,
  "network-overlap": 7,
  "network-unknown": 7,
  "netns-invalid": 8,
  "agent-away": 11,
  busy: 11,
  "store-away": 11,
  internal: 100,
  "pool-exhausted": 101,
  "ifname-exists": 102,
  "address-taken": 103,
  "address-outside": 104,
  "bridge-full": 105,
  "bridge-invalid": 106,
  "check-failed": 107,
  "delegate-failed": 108,
  kernel: 109,
  "kernel-unsupported": 110,
  "mtu-too-small": 111,
  permission: 112,
  teardown: 113,
  "peer-refused": 114,
}

/** An error on its way to a CNI runtime. */
export class CniError extends LariatError {
  override readonly name = "CniError"
  /** The `code` of the JSON. */
  readonly cniCode: number
  /** The `details` of the JSON; undefined: the key is left out. */
  readonly details: string | undefined

  /**
   * @param options as of LariatError; `cniCode`: default the code's number in {@link CNI_CODES};
   *   `details`: default the hint
   */
  constructor(
    message: string,
    options: ErrorDetails & {
      readonly cniCode?: number | undefined
      readonly details?: string | undefined
    },
  ) {
    super(message, options)
    this.cniCode = options.cniCode ?? CNI_CODES[options.code]
    this.details = options.details ?? options.hint
  }
}

/** The JSON of an error (CNI SPEC, Error). */
export interface CniErrorJson {
  readonly cniVersion: string
  readonly code: number
  readonly msg: string
  readonly details?: string
}

/** Whether the text is one of our stable codes. */
export function isErrorCode(text: unknown): text is ErrorCode {
  return typeof text === "string" && Object.hasOwn(CNI_CODES, text)
}

/** Anything thrown as a CniError; what is no LariatError counts as a fault of ours. */
export function toCniError(error: unknown): CniError {
  if (error instanceof CniError) return error
  if (error instanceof LariatError) {
    return new CniError(error.message, { code: error.code, hint: error.hint, cause: error })
  }
  return new CniError(`Cannot finish the call: ${messageOf(error)}`, {
    code: "internal",
    hint: "this is a fault in Lariat; report it with the agent's log",
    cause: error,
  })
}

/**
 * The JSON of anything thrown.
 *
 * @param cniVersion the configuration's version, or the newest we speak where it is unknown
 */
export function errorJson(cniVersion: string, error: unknown): CniErrorJson {
  const { cniCode, message, details } = toCniError(error)
  const json = { cniVersion, code: cniCode, msg: oneLine(message) }
  return details === undefined ? json : { ...json, details: oneLine(details) }
}

/** One line for standard error, without line end: `lariat: <message>. <Hint>`. */
export function errorLine(error: unknown): string {
  const { message, hint, details } = toCniError(error)
  const more = hint ?? details
  const first = `lariat: ${oneLine(message).replace(/\.$/, "")}.`
  if (more === undefined || more === "") return first
  return `${first} ${more.charAt(0).toUpperCase()}${oneLine(more.slice(1))}`
}

/** Anything thrown as the answer to a call: the JSON, the line for the log, exit code 1. */
export function errorResponse(cniVersion: string, error: unknown): CniResponse {
  return {
    exit: 1,
    stdout: `${JSON.stringify(errorJson(cniVersion, error))}\n`,
    stderr: `${errorLine(error)}\n`,
  }
}

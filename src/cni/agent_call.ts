/** The plugin's question to the agent over its unix socket, and what may go wrong with it. */

import { CniError, isErrorCode, NOT_AVAILABLE, toCniError } from "./error.ts"
import { isObject, type JsonObject, parseJson } from "./json.ts"
import { type CniRequest, type CniResponse, MAX_REQUEST_BYTES } from "./protocol.ts"
import { shown } from "./text.ts"

const NEWLINE = 10

/** Where the agent listens unless a setting says otherwise. */
export const DEFAULT_SOCKET = "/run/lariat/agent.sock"

/** sun_path of linux/un.h without the terminating NUL, bytes. */
const MAX_PATH_BYTES = 107

/**
 * Sends a request to a socket and gives everything that came back, within the time.
 * Throws LariatError agent-away where nobody answers, also where the agent ends in mid-call: what
 * it did is undone or finished at its next start.
 */
export type Call = (socket: string, request: Uint8Array, timeoutMs: number) => Uint8Array

/**
 * The agent's socket: the configuration's `agentSocket`, else LARIAT_SOCKET, else the default.
 *
 * @throws CniError config-invalid (code 7), environment (code 4) where a setting is no absolute path
 */
export function socketPath(setting: unknown, variable: string | undefined): string {
  const said = setting !== undefined && setting !== null && setting !== ""
  const path = said ? setting : variable || DEFAULT_SOCKET
  const absolute = typeof path === "string" && path.startsWith("/") && !path.includes("\0")
  if (absolute && new TextEncoder().encode(path).length <= MAX_PATH_BYTES) return path
  const name = said ? "agentSocket" : "LARIAT_SOCKET"
  const why = absolute ? `it is longer than ${MAX_PATH_BYTES} bytes` : "it is no absolute path"
  throw new CniError(`Cannot use ${name} ${shown(path)}: ${why}`, {
    code: said ? "config-invalid" : "environment",
    hint: `set it to the agent's socket, or leave it out for ${DEFAULT_SOCKET}`,
  })
}

/**
 * Asks the agent and checks the form of its answer.
 *
 * @throws CniError agent-away or busy (code 11, so that the runtime tries again), permission, all
 *   of them with code 50 for STATUS; config-invalid where the request is too large, io (code 5) where the answer is none
 */
export function askAgent(
  request: CniRequest,
  socket: string,
  call: Call,
  timeoutMs: number,
): CniResponse {
  const bytes = new TextEncoder().encode(`${JSON.stringify(request)}\n`)
  if (bytes.length > MAX_REQUEST_BYTES) {
    throw new CniError(
      `Cannot ask the agent: configuration and variables have ${bytes.length} bytes together`,
      { code: "config-invalid", hint: `keep them below ${MAX_REQUEST_BYTES} bytes` },
    )
  }
  let answer: Uint8Array
  try {
    answer = call(socket, bytes, timeoutMs)
  } catch (error) {
    throw unreachable(request.env.command, error)
  }
  return decodeResponse(answer, request.env.command)
}

function unreachable(command: string, error: unknown): CniError {
  const { code, message, hint } = toCniError(error)
  return new CniError(message, {
    code,
    cniCode: command === "STATUS" ? NOT_AVAILABLE : undefined,
    hint,
    cause: error,
  })
}

/**
 * Reads the agent's answer.
 *
 * Standard output belongs to the runtime's JSON decoder: what is not one object (for ADD and for
 * errors) or nothing (for the others) never gets there.
 *
 * @throws CniError io (code 5) where it is no answer; agent-away (code 11) where it breaks off;
 *   the agent's own code where it refused
 */
export function decodeResponse(bytes: Uint8Array, command: string): CniResponse {
  const refuse = (why: string): CniError =>
    new CniError(`Cannot read the agent's answer: ${why}`, {
      code: "io",
      hint: "plugin and agent may be of different versions; restart the agent",
    })
  const value = parseJson(new TextDecoder().decode(bytes))
  if (value === undefined && bytes.at(-1) !== NEWLINE) {
    throw new CniError("Cannot read the agent's answer: it breaks off", {
      code: "agent-away",
      hint: "the agent ended while it answered; the runtime may try again",
    })
  }
  if (!isObject(value)) throw refuse("it is no JSON object")
  if (value.ok === false) throw refusal(value)
  const { exit, stdout, stderr } = value
  if (typeof exit !== "number" || !Number.isInteger(exit) || exit < 0 || exit > 255) {
    throw refuse(`its exit code is ${shown(exit)}`)
  }
  if (typeof stdout !== "string") throw refuse(`its stdout is ${shown(stdout)}`)
  if (typeof stderr !== "string") throw refuse(`its stderr is ${shown(stderr)}`)
  const mayBeEmpty = exit === 0 && command !== "ADD"
  if (!(stdout === "" && mayBeEmpty) && !isObject(parseJson(stdout))) {
    throw refuse(stdout === "" ? "its stdout is empty" : "its stdout is no JSON object")
  }
  return { exit, stdout, stderr }
}

/** The control socket's own refusals, made before any CNI code saw the request. */
function refusal(value: JsonObject): CniError {
  const { code, message, hint } = value
  return new CniError(typeof message === "string" ? message : "Cannot ask the agent: it refused", {
    code: isErrorCode(code) ? code : "internal",
    hint: typeof hint === "string" ? hint : "plugin and agent may be of different versions",
  })
}

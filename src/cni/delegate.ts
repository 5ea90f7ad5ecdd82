/**
 * Calls whose addresses come from another IPAM plugin (`ipam.type`): the order in which delegate
 * and agent are asked, and what is undone when one of them fails (CNI SPEC, Plugin Delegation).
 */

import { messageOf } from "../errors.ts"
import { findPlugin, type ProcessEnd, runProgram } from "./delegate_process.ts"
import type { CheckedEnvironment, Environment } from "./environment.ts"
import { CniError, errorLine } from "./error.ts"
import { deeperThan, isObject, type JsonObject, MAX_DEPTH, parseJson } from "./json.ts"
import type { CniResponse } from "./protocol.ts"
import { oneLine } from "./text.ts"
import type { CniCommand } from "./version.ts"

/** One call that is partly another plugin's. */
export interface DelegatedCall {
  /** `ipam.type`. */
  readonly type: string
  readonly env: CheckedEnvironment
  /** The process's whole environment, which the delegate gets. */
  readonly variables: Environment
  /** The configuration as it came, which the delegate gets. */
  readonly stdin: Uint8Array
  /** Bound of each run of the delegate, milliseconds. */
  readonly timeoutMs: number
  readonly writeErr: (bytes: Uint8Array) => void
}

/** Asks the agent; the argument is the delegate's result on ADD. */
export type Ask = (ipamResult?: JsonObject) => CniResponse

/**
 * Answers a call by delegate and agent together.
 *
 * @returns the agent's answer
 * @throws CniError with the delegate's own number and words where it failed; as the agent's call does
 */
export async function runDelegated(call: DelegatedCall, ask: Ask): Promise<CniResponse> {
  switch (call.env.command) {
    case "ADD":
      return attach(call, ask)
    case "DEL": {
      // The address is given back last, and only when the container's end is gone: else the next
      // container would get an address that still answers. The runtime calls DEL again.
      const answer = ask()
      if (answer.exit === 0) await runDelegate(call, "DEL")
      return answer
    }
    case "GC":
      return collect(call, ask)
    default:
      await runDelegate(call, call.env.command)
      return ask()
  }
}

async function attach(call: DelegatedCall, ask: Ask): Promise<CniResponse> {
  const printed = await runDelegate(call, "ADD")
  let answer: CniResponse
  try {
    answer = ask(parseObject(printed, call.type))
  } catch (error) {
    await giveBack(call)
    throw error
  }
  if (answer.exit !== 0) await giveBack(call)
  return answer
}

/** Undoes the delegate's ADD; its failure is told beside the one that led here. */
async function giveBack(call: DelegatedCall): Promise<void> {
  try {
    await runDelegate(call, "DEL")
  } catch (error) {
    call.writeErr(new TextEncoder().encode(`${errorLine(error)}\n`))
  }
}

/** GC goes on after an error and reports all (CNI SPEC, GC). */
async function collect(call: DelegatedCall, ask: Ask): Promise<CniResponse> {
  let failure: CniError | undefined
  try {
    await runDelegate(call, "GC")
  } catch (error) {
    if (!(error instanceof CniError)) throw error
    failure = error
  }
  let answer: CniResponse
  try {
    answer = ask()
  } catch (error) {
    if (failure === undefined) throw error
    throw both(failure, messageOf(error))
  }
  if (failure === undefined) return answer
  if (answer.exit === 0) throw failure
  const json: unknown = JSON.parse(answer.stdout)
  throw both(failure, String(isObject(json) ? json.msg : answer.stdout))
}

function both(failure: CniError, other: string): CniError {
  return new CniError(`${failure.message}; ${other}`, {
    code: failure.code,
    cniCode: failure.cniCode,
    hint: failure.hint,
    details: failure.details,
    cause: failure,
  })
}

/** @returns what the delegate printed */
async function runDelegate(call: DelegatedCall, command: CniCommand): Promise<string> {
  const path = findPlugin(call.type, call.env.path)
  const env: Record<string, string> = {}
  for (const [name, value] of Object.entries(call.variables)) {
    if (value !== undefined) env[name] = value
  }
  env.CNI_COMMAND = command
  const end = await runProgram(path, env, call.stdin, call.timeoutMs)
  const printed = new TextDecoder().decode(end.stdout)
  if (end.exit === 0 && end.killed === undefined) return printed
  throw delegateError(call, command, end, printed)
}

function delegateError(
  call: DelegatedCall,
  command: CniCommand,
  end: ProcessEnd,
  printed: string,
): CniError {
  const what = `Cannot ${command} with the IPAM plugin ${call.type}`
  const json = parseJson(printed)
  if (end.killed === undefined && isObject(json) && Number.isInteger(json.code)) {
    const { code, msg, details } = json
    return new CniError(`${what}: ${typeof msg === "string" ? oneLine(msg) : "it failed"}`, {
      code: "delegate-failed",
      // Zero would mean success to runtimes that look at the number alone.
      cniCode: typeof code === "number" && code > 0 ? code : undefined,
      details: typeof details === "string" && details !== "" ? oneLine(details) : undefined,
    })
  }
  const reasons = {
    time: `it did not end within ${call.timeoutMs} ms`,
    output: "it printed more than a result can have",
    none: end.exit === undefined ? "a signal ended it" : `it ended with code ${end.exit}`,
  }
  return new CniError(`${what}: ${reasons[end.killed ?? "none"]}`, {
    code: "delegate-failed",
    hint: "its own words, if any, are in the log above this line",
  })
}

function parseObject(printed: string, type: string): JsonObject {
  const json = parseJson(printed)
  if (isObject(json) && !deeperThan(json, MAX_DEPTH)) return json
  const why = isObject(json) ? `nested more than ${MAX_DEPTH} levels deep` : "no JSON object"
  throw new CniError(`Cannot read the result of ${type}: it is ${why}`, {
    code: "decode",
    hint: "that plugin is at fault; run it by hand to see what it prints",
  })
}

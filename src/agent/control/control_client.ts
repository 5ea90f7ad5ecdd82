import type { ControlResponse } from "../../cni/protocol.ts"
import { type ErrorCode, LariatError, messageOf } from "../../errors.ts"
import { callUnix } from "../../sys/net/unix_client.ts"

/** How long a command waits for the agent, milliseconds. */
const TIMEOUT_MS = 10_000

/** The agent's socket: LARIAT_SOCKET, else in LARIAT_RUN_DIR, else the default place. */
function agentSocket(env: Readonly<Record<string, string | undefined>>): string {
  return env.LARIAT_SOCKET ?? `${env.LARIAT_RUN_DIR ?? "/run/lariat"}/agent.sock`
}

/**
 * Asks the running agent for something.
 *
 * @param op what is asked: `status`, `endpoints`, …
 * @returns the answer's value, as the agent documents it for this op
 * @throws LariatError `agent-away` when no agent answers, else what the agent refused with
 */
export function askAgent(op: string, socket: string = agentSocket(process.env)): unknown {
  const request = new TextEncoder().encode(`${JSON.stringify({ op })}\n`)
  const answer = new TextDecoder().decode(callUnix(socket, request, { timeoutMs: TIMEOUT_MS }))
  const response = parse(answer, socket)
  if (response.ok) return response.value
  throw new LariatError(response.message, {
    code: response.code as ErrorCode,
    hint: response.hint,
  })
}

function parse(answer: string, socket: string): ControlResponse {
  try {
    return JSON.parse(answer) as ControlResponse
  } catch (error) {
    throw new LariatError(`Cannot read the agent's answer at ${socket}: ${messageOf(error)}`, {
      code: "decode",
      hint: "are agent and command of the same version? see lariat version",
      cause: error,
    })
  }
}

/** Asking the agent as the plugin does, without starting one: many calls at once, from one process. */
import { connect } from "node:net"
import type { CniResponse } from "../../src/cni/protocol.ts"
import type { PluginJson } from "./lab.ts"

/** One attachment, by CNI's key and the namespace. */
export interface Attachment {
  readonly id: string
  readonly netns: string
  readonly ifname: string
}

const TIMEOUT_MS = 30_000

/**
 * Sends one request and reads the answer.
 *
 * @throws Error when nobody answers, or the answer breaks off
 */
export function ask(socket: string, request: unknown): Promise<unknown> {
  return new Promise((resolve, reject) => {
    const chunks: Uint8Array[] = []
    const connection = connect(socket)
    connection.setTimeout(TIMEOUT_MS, () => {
      connection.destroy()
      reject(new Error(`the agent did not answer ${JSON.stringify(request)}`))
    })
    connection.on("error", reject)
    connection.on("connect", () => connection.write(`${JSON.stringify(request)}\n`))
    connection.on("data", (chunk: Uint8Array) => chunks.push(chunk))
    connection.on("close", () => {
      const text = Buffer.concat(chunks).toString()
      if (text.endsWith("\n")) resolve(JSON.parse(text))
      else reject(new Error("the agent went away"))
    })
  })
}

/** One CNI call. @throws Error when nobody answers */
export async function askCni(
  socket: string,
  command: string,
  { id, netns, ifname }: Attachment,
  config: object,
): Promise<CniResponse & { readonly json: PluginJson }> {
  const env = { command, containerId: id, netns, ifname, args: "", path: "", netnsOverride: false }
  const answer = (await ask(socket, { op: "cni", role: "bridge", env, config })) as CniResponse
  return { ...answer, json: answer.stdout === "" ? {} : JSON.parse(answer.stdout) }
}

/** What a command asks, `endpoints` for instance. @throws Error when refused */
export async function askOperation<T>(socket: string, op: string): Promise<T> {
  const answer = (await ask(socket, { op })) as { ok: boolean; value: T }
  if (!answer.ok) throw new Error(`${op}: ${JSON.stringify(answer)}`)
  return answer.value
}

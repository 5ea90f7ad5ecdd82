/**
 * The plugin process: checks the call, asks the agent, prints the answer.
 *
 * A runtime starts it for every container, so its start-up is most of its cost: what it imports
 * statically is a few small modules and no package (a test holds it to that).
 */

import { IPAM_TYPES } from "../config/netconf/netconf.ts"
import { messageOf } from "../errors.ts"
import { readAllFd, writeFd } from "../sys/ffi/file.ts"
import { callUnix } from "../sys/net/unix_client.ts"
import { askAgent, type Call, socketPath } from "./agent_call.ts"
import { type CheckedEnvironment, type Environment, readEnvironment } from "./environment.ts"
import { CniError, errorResponse } from "./error.ts"
import { isObject, type JsonObject } from "./json.ts"
import { checkNetconf, decodeNetconf } from "./netconf_json.ts"
import { type CniRequest, type CniResponse, MAX_REQUEST_BYTES } from "./protocol.ts"
import { shown } from "./text.ts"
import { CNI_VERSIONS, NEWEST_VERSION, versionReply } from "./version.ts"

/** What the plugin is called as: it attaches containers, or gives addresses to a plugin that does. */
export type PluginRole = CniRequest["role"]

/** Everything the plugin touches. */
export interface PluginIo {
  readonly env: Environment
  /** Standard input to its end; throws where it has more than `limit` bytes. */
  readonly readStdin: (limit: number) => Uint8Array
  readonly writeOut: (bytes: Uint8Array) => void
  readonly writeErr: (bytes: Uint8Array) => void
  readonly call: Call
}

/** Set for a delegated plugin, to the type it was called as. */
const DELEGATED = "LARIAT_DELEGATED"

/** How long the agent, or a delegated plugin, may take, milliseconds. */
const DEFAULT_TIMEOUT_MS = 30_000

/** A longer wait is no wait: runtimes give up after some minutes. */
const MAX_TIMEOUT_MS = 600_000

/**
 * One call of the plugin, from variables and standard input to an exit code. On standard output it
 * writes one JSON document or nothing, on standard error one line for each thing that went wrong.
 *
 * Without CNI_COMMAND it says what it is. `role` "bridge" turns to "ipam" where the configuration is
 * another plugin's and names `lariat-cni`, which plays both parts under one name, as its `ipam`.
 *
 * @returns the exit code: 0, or 1 with an error's JSON on standard output. Never rejects
 */
export async function runPlugin(role: PluginRole, io: PluginIo): Promise<number> {
  let version: string = NEWEST_VERSION
  try {
    if ((io.env.CNI_COMMAND ?? "") === "") {
      io.writeErr(encode(`${aboutText(role)}\n`))
      return 0
    }
    const env = readEnvironment(io.env)
    if (env.command === "VERSION") {
      io.writeOut(encode(`${JSON.stringify(versionReply())}\n`))
      return 0
    }
    const stdin = readStdin(io)
    const config = decodeNetconf(stdin)
    version = checkNetconf(env.command, config)
    const { exit, stdout, stderr } = await answer(role, env, config, stdin, io)
    if (stderr !== "") io.writeErr(encode(stderr))
    if (stdout !== "") io.writeOut(encode(stdout))
    return exit
  } catch (error) {
    return fail(io, version, error)
  }
}

/** {@link runPlugin} on the process's own variables, descriptors and the agent's socket. */
export function pluginMain(role: PluginRole): Promise<number> {
  return runPlugin(role, {
    env: process.env,
    readStdin: (limit) => readAllFd(0, limit),
    writeOut: (bytes) => writeFd(1, bytes),
    writeErr: (bytes) => writeFd(2, bytes),
    call: (socket, request, timeoutMs) => callUnix(socket, request, { timeoutMs }),
  })
}

function readStdin(io: PluginIo): Uint8Array {
  try {
    return io.readStdin(MAX_REQUEST_BYTES)
  } catch (error) {
    throw new CniError(`Cannot read the network configuration: ${messageOf(error)}`, {
      code: "io",
      hint: `send one JSON object of at most ${MAX_REQUEST_BYTES} bytes on standard input`,
      cause: error,
    })
  }
}

async function answer(
  called: PluginRole,
  env: CheckedEnvironment,
  config: JsonObject,
  stdin: Uint8Array,
  io: PluginIo,
): Promise<CniResponse> {
  const role = roleOf(called, config)
  const socket = socketPath(config.agentSocket, io.env.LARIAT_SOCKET)
  const timeoutMs = readTimeout(io.env.LARIAT_TIMEOUT_MS)
  const ask = (ipamResult?: JsonObject): CniResponse =>
    askAgent(
      { op: "cni", role, env, config, ...(ipamResult === undefined ? {} : { ipamResult }) },
      socket,
      io.call,
      timeoutMs,
    )
  const type = role === "bridge" ? delegateType(config) : undefined
  if (type === undefined) return ask()
  // Under a name of its own, this program would call itself as its IPAM, and that one itself again,
  // until the host has no memory left.
  if (io.env[DELEGATED] !== undefined) {
    throw new CniError(
      `Cannot use ipam.type ${shown(type)}: it calls Lariat as Lariat's own IPAM`,
      {
        code: "config-invalid",
        hint: `set ipam.type to one of ${IPAM_TYPES.join(", ")}, or to another IPAM plugin`,
      },
    )
  }
  // Loads child processes, which most calls never need.
  const { runDelegated } = await import("./delegate.ts")
  return runDelegated(
    {
      type,
      env,
      variables: { ...io.env, [DELEGATED]: type },
      stdin,
      timeoutMs,
      writeErr: io.writeErr,
    },
    ask,
  )
}

function roleOf(called: PluginRole, config: JsonObject): PluginRole {
  const ours = config.type === "rancher-bridge" || config.type === "lariat-cni"
  const ipam = isObject(config.ipam) ? config.ipam.type : undefined
  return ipam === "lariat-cni" && !ours ? "ipam" : called
}

/** The IPAM plugin to call, where the configuration names one that the agent does not serve. */
function delegateType(config: JsonObject): string | undefined {
  const type = isObject(config.ipam) ? config.ipam.type : undefined
  // Whatever is no text is a fault of the configuration, which the agent reports with all others.
  if (typeof type !== "string" || type === "" || IPAM_TYPES.includes(type)) return undefined
  return type
}

function readTimeout(text: string | undefined): number {
  if (text === undefined || text === "") return DEFAULT_TIMEOUT_MS
  const timeoutMs = Number(text)
  if (/^[0-9]+$/.test(text) && timeoutMs >= 1 && timeoutMs <= MAX_TIMEOUT_MS) return timeoutMs
  throw new CniError(
    `Cannot use LARIAT_TIMEOUT_MS ${shown(text)}: it is no number of milliseconds`,
    {
      code: "environment",
      hint: `set it to 1 to ${MAX_TIMEOUT_MS}, or leave it out for ${DEFAULT_TIMEOUT_MS}`,
    },
  )
}

/** Says what went wrong as far as the descriptors still take it; a closed one must not hide it. */
function fail(io: PluginIo, version: string, error: unknown): number {
  const { exit, stdout, stderr } = errorResponse(version, error)
  const attempts = [() => io.writeErr(encode(stderr)), () => io.writeOut(encode(stdout))]
  for (const attempt of attempts) {
    try {
      attempt()
    } catch {
      // Nobody reads it: the exit code is all that is left to say.
    }
  }
  return exit
}

function aboutText(role: PluginRole): string {
  const part = role === "ipam" ? "IPAM plugin" : "plugin"
  return [
    `Lariat's CNI ${part}: a container runtime calls it with CNI_COMMAND set and the network's`,
    "configuration on standard input; the lariat agent does the work.",
    `CNI protocol versions supported: ${CNI_VERSIONS.join(", ")}`,
  ].join("\n")
}

function encode(text: string): Uint8Array {
  return new TextEncoder().encode(text)
}

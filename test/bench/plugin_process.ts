/** Starting plugins of either side, in one and the same way. */
import { spawn, spawnSync } from "node:child_process"

/** One call of a CNI plugin. */
export interface PluginCall {
  /** Path of the plugin. */
  readonly program: string
  readonly env: Readonly<Record<string, string>>
  /** The network configuration. */
  readonly input: string
}

/** A plugin that answered well. */
export interface PluginAnswer {
  /** From before fork to after wait, milliseconds. */
  readonly ms: number
  readonly stdout: string
}

const TIMEOUT_MS = 60_000

/**
 * Starts a plugin and waits for its end, the thread blocked: no event loop of ours is in the time.
 *
 * @throws Error when the plugin fails
 */
export function callPlugin({ program, env, input }: PluginCall): PluginAnswer {
  const started = performance.now()
  const result = spawnSync(program, [], { env: { ...env }, input, timeout: TIMEOUT_MS })
  const ms = performance.now() - started
  if (result.status === 0) return { ms, stdout: result.stdout.toString() }
  const said = `${result.stdout}${result.stderr}${result.error ?? ""}`
  throw new Error(`${program} ${env.CNI_COMMAND}: exit ${result.status}: ${said.trim()}`)
}

/**
 * Starts a plugin and goes on; for many at once.
 *
 * @throws Error when the plugin fails
 */
export function startPlugin({ program, env, input }: PluginCall): Promise<PluginAnswer> {
  const started = performance.now()
  return new Promise((resolve, reject) => {
    const child = spawn(program, [], { env: { ...env }, timeout: TIMEOUT_MS })
    let stdout = ""
    let stderr = ""
    child.stdout.on("data", (chunk) => {
      stdout += chunk
    })
    child.stderr.on("data", (chunk) => {
      stderr += chunk
    })
    child.on("error", reject)
    child.on("close", (status) => {
      if (status === 0) resolve({ ms: performance.now() - started, stdout })
      else reject(new Error(`${program} ${env.CNI_COMMAND}: exit ${status}: ${stdout}${stderr}`))
    })
    child.stdin.on("error", () => undefined)
    child.stdin.end(input)
  })
}

/** Lets the kernel finish what the last call left to it: links go a grace period later. */
export function settle(ms: number): void {
  Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, ms)
}

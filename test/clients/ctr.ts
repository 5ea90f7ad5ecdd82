/** `ctr run --cni` of containerd. */
import { spawn } from "node:child_process"
import { startContainerd } from "./containerd.ts"
import { IMAGE } from "./image.ts"
import { run, waitFor } from "./program.ts"
import type { Dependencies, Runtime } from "./runtime.ts"

/** Starts a containerd whose containers are run by `ctr`. */
export async function setUpCtr(surroundings: Dependencies): Promise<Runtime> {
  const containerd = await startContainerd(surroundings)
  const ctr = ["ctr", "--address", containerd.socket]
  let execs = 0
  return {
    async start(name) {
      // Attached, since a detached `ctr run` never calls DEL.
      const command = [...ctr, "run", "--rm", "--cni", IMAGE, name]
      const [program = "", ...args] = command
      const child = spawn(program, args, { stdio: ["ignore", "ignore", "pipe"] })
      let stderr = ""
      child.stderr.setEncoding("utf8").on("data", (text: string) => {
        stderr += text
      })
      const ended = new Promise<void>((resolve) => child.once("exit", () => resolve()))
      await waitFor(`ctr to run ${name}`, async () => {
        if (child.exitCode !== null) throw new Error(`Cannot run ${command.join(" ")}: ${stderr}`)
        const tasks = await run([...ctr, "task", "ls"])
        return tasks.split("\n").some((line) => line.startsWith(`${name} `) && /RUNNING/.test(line))
          ? true
          : undefined
      })
      return {
        exec: (argv) => {
          execs += 1
          return run([...ctr, "task", "exec", "--exec-id", `e${execs}`, name, ...argv])
        },
        remove: async () => {
          await run([...ctr, "task", "kill", "--signal", "SIGKILL", name])
          await ended
        },
      }
    },
    async startBroken(name) {
      const result = await containerd.ctr(["run", "--rm", "--cni", IMAGE, name, "/bin/nothing"])
      if (result.status === 0) throw new Error("ctr reported no failure")
    },
    knownAs: (name) => `default-${name}`,
    stop: () => containerd.stop(),
  }
}

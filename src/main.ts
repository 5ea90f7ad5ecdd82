/**
 * Picks the role: a CNI plugin when a runtime calls it as one, else the command line. Nothing of
 * the command line is loaded for a plugin: a runtime waits for every millisecond of its start.
 */
import { pluginMain } from "./cni/plugin.ts"
import { exitNow, programName } from "./sys/process.ts"

const name = programName()
const isIpam = /^rancher-(cni|host-local|flat)-ipam$/.test(name)
const isPlugin = isIpam || name === "rancher-bridge" || name === "lariat-cni"

if (isPlugin || (process.env.CNI_COMMAND !== undefined && process.argv.length <= 2)) {
  exitNow(await pluginMain(isIpam ? "ipam" : "bridge"))
} else {
  const { runCommandLine } = await import("./cli/main.ts")
  process.exitCode = await runCommandLine(process.argv.slice(2))
}

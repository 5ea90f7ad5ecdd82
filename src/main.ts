/**
 * Picks the role: a CNI plugin when a runtime calls it as one, else the command line. Nothing of
 * the other roles is loaded, since a runtime waits for every millisecond of the plugin's start.
 */
import { exitNow, programName } from "./sys/process.ts"

const name = programName()
const isIpam = /^rancher-(cni|host-local|flat)-ipam$/.test(name)
const isPlugin = isIpam || name === "rancher-bridge" || name === "lariat-cni"

if (isPlugin || (process.env.CNI_COMMAND !== undefined && process.argv.length <= 2)) {
  const { pluginMain } = await import("./cni/plugin.ts")
  exitNow(await pluginMain(isIpam ? "ipam" : "bridge"))
} else {
  const { runCommandLine } = await import("./cli/main.ts")
  process.exitCode = await runCommandLine(process.argv.slice(2))
}

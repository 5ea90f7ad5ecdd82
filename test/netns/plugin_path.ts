/** A folder of CNI plugins: Debian's, and the program under test by one of its names. */
import { chmodSync, mkdtempSync, symlinkSync, writeFileSync } from "node:fs"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { attempt } from "../clients/program.ts"
import { type Lab, lariatCommand, type PluginAnswer, type PluginCall } from "./lab.ts"

/** Where Debian's containernetworking-plugins lie. */
export const DEBIAN_PLUGINS = "/usr/lib/cni"

/** Deno cannot be called by another name, and so plays only the parts that need none. */
export const HAS_NAMES = !lariatCommand().some((word) => word.endsWith("/deno"))

/** Makes a folder with the program under that name; returns a CNI_PATH with Debian's behind it. */
export function pluginPath(name: string): string {
  const folder = mkdtempSync(join(tmpdir(), "plugins-"))
  const [program = "", ...args] = lariatCommand()
  if (args.length === 0) symlinkSync(program, join(folder, name))
  else {
    const words = [program, ...args].map((word) => `'${word}'`).join(" ")
    writeFileSync(join(folder, name), `#!/bin/bash\nexec -a ${name} ${words}\n`)
    chmodSync(join(folder, name), 0o755)
  }
  return `${folder}:${DEBIAN_PLUGINS}`
}

/** Calls one of Debian's plugins as a runtime does; the agent's socket is told as to ours. */
export async function debianPlugin(
  lab: Lab,
  name: string,
  command: string,
  call: PluginCall,
): Promise<PluginAnswer> {
  const { conf = {}, id = "c1", netns = `/run/netns/${id}`, ifname = "eth0" } = call
  const env = {
    CNI_COMMAND: command,
    CNI_CONTAINERID: id,
    CNI_NETNS: netns,
    CNI_IFNAME: ifname,
    CNI_ARGS: call.args ?? "",
    CNI_PATH: call.path ?? DEBIAN_PLUGINS,
    LARIAT_SOCKET: lab.socket,
  }
  const input = typeof conf === "string" ? conf : JSON.stringify(conf)
  const result = await attempt([join(DEBIAN_PLUGINS, name)], { env, input })
  return { ...result, json: result.stdout === "" ? {} : JSON.parse(result.stdout) }
}

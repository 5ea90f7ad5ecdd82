/** containerd with its CRI, and its command `ctr`. */
import { existsSync, mkdirSync, writeFileSync } from "node:fs"
import { join } from "node:path"
import { IMAGE } from "./image.ts"
import { attempt, type Daemon, type ProgramResult, run, startDaemon } from "./program.ts"
import type { Dependencies } from "./runtime.ts"

/** A running containerd. */
export interface Containerd extends Daemon {
  readonly socket: string
  /** Runs `ctr` with these arguments, whatever its exit status. */
  ctr(args: readonly string[]): Promise<ProgramResult>
}

/** Starts containerd with state of its own and loads the image for `ctr` and for the CRI. */
export async function startContainerd(surroundings: Dependencies): Promise<Containerd> {
  const directory = join(surroundings.directory, "containerd")
  mkdirSync(directory, { recursive: true })
  const socket = join(directory, "c.sock")
  const config = join(directory, "config.toml")
  writeFileSync(config, configuration(directory, socket, surroundings))
  const client = ["ctr", "--address", socket]
  const daemon = await startDaemon(
    ["containerd", "--config", config, "--log-level", "warn"],
    async () => existsSync(socket) && (await attempt([...client, "version"])).status === 0,
    { log: join(directory, "log") },
  )
  for (const namespace of ["default", "k8s.io"]) {
    await run([...client, "--namespace", namespace, "images", "import", surroundings.image])
  }
  return { ...daemon, socket, ctr: (args) => attempt([...client, ...args]) }
}

function configuration(directory: string, socket: string, surroundings: Dependencies) {
  const cri = 'plugins."io.containerd.grpc.v1.cri"'
  return `version = 2
root = "${directory}/root"
state = "${directory}/state"
[grpc]
  address = "${socket}"
[${cri}]
  sandbox_image = "${IMAGE}"
  disable_apparmor = true
  restrict_oom_score_adj = true
  [${cri}.containerd]
    snapshotter = "overlayfs"
  [${cri}.cni]
    bin_dir = "${surroundings.pluginDirectory}"
    conf_dir = "${surroundings.networkDirectory}"
`
}

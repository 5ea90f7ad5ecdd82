/** podman with its CNI back end and runc. */
import { mkdirSync, writeFileSync } from "node:fs"
import { join } from "node:path"
import { IMAGE } from "./image.ts"
import { attempt, run } from "./program.ts"
import type { Dependencies, Runtime } from "./runtime.ts"

/** Sets podman up with a store of its own. */
export async function setUpPodman(surroundings: Dependencies): Promise<Runtime> {
  const directory = join(surroundings.directory, "podman")
  mkdirSync(join(directory, "tmp"), { recursive: true })
  const containers = join(directory, "containers.conf")
  const storage = join(directory, "storage.conf")
  writeFileSync(containers, containersConf(directory, surroundings))
  writeFileSync(storage, storageConf(directory))
  const env = { CONTAINERS_CONF: containers, CONTAINERS_STORAGE_CONF: storage }
  const podman = (...args: string[]) => run(["podman", ...args], { env })
  await podman("load", "--input", surroundings.image)
  const network = `--network=${surroundings.network.name}`
  return {
    async start(name) {
      await podman("run", "--detach", "--name", name, network, IMAGE)
      return {
        exec: (argv) => podman("exec", name, ...argv),
        remove: async () => {
          await podman("rm", "--force", "--time", "0", name)
        },
      }
    },
    async startBroken(name) {
      const argv = ["podman", "run", "--rm", "--name", name, network, IMAGE, "/bin/nothing"]
      const result = await attempt(argv, { env })
      if (result.status !== 127) throw new Error(`podman said ${result.status}: ${result.stderr}`)
    },
    knownAs: (name) => name,
    writesResolvConf: true,
    stop: async () => {
      await podman("rm", "--all", "--force", "--time", "0")
    },
  }
}

function containersConf(directory: string, surroundings: Dependencies): string {
  // The limits are given since podman would raise them, which a container of ours may not;
  // crun does not start on hybrid cgroups.
  return `[containers]
default_ulimits = ["nofile=1024:4096", "nproc=4096:4096"]
[engine]
runtime = "runc"
cgroup_manager = "cgroupfs"
events_logger = "file"
infra_image = ""
tmp_dir = "${directory}/tmp"
[network]
network_backend = "cni"
cni_plugin_dirs = ["${surroundings.pluginDirectory}"]
network_config_dir = "${surroundings.networkDirectory}"
`
}

function storageConf(directory: string): string {
  return `[storage]
driver = "overlay"
graphroot = "${directory}/root"
runroot = "${directory}/runroot"
`
}

/** A container image without a registry: busybox as a docker archive, which every client loads. */
import { createHash } from "node:crypto"
import {
  chmodSync,
  copyFileSync,
  mkdirSync,
  readFileSync,
  symlinkSync,
  writeFileSync,
} from "node:fs"
import { join } from "node:path"
import { run } from "./program.ts"

/** The image's name in every client's store. */
export const IMAGE = "localhost/lariat-test:1"

/**
 * Makes the image below `directory`.
 *
 * A container of it sleeps for an hour and ends at once when it is asked to (its stop signal is
 * KILL), so it serves as a pod's sandbox too.
 *
 * @returns the archive's path, for `podman load` and `ctr images import`
 */
export async function makeImage(directory: string): Promise<string> {
  const root = join(directory, "rootfs")
  for (const name of ["bin", "etc", "proc", "sys", "dev", "tmp", "run"]) {
    mkdirSync(join(root, name), { recursive: true })
  }
  const busybox = (await run(["which", "busybox"])).trim()
  copyFileSync(busybox, join(root, "bin/busybox"))
  chmodSync(join(root, "bin/busybox"), 0o755)
  for (const applet of (await run([busybox, "--list"])).trim().split("\n")) {
    if (applet !== "busybox") symlinkSync("busybox", join(root, "bin", applet))
  }
  writeFileSync(join(root, "etc/passwd"), "root:x:0:0:root:/:/bin/sh\n")
  const archive = join(directory, "archive")
  mkdirSync(archive)
  await run(["tar", "-C", root, "-cf", join(archive, "layer.tar"), "."])
  const layer = readFileSync(join(archive, "layer.tar"))
  const config = {
    architecture: process.arch === "x64" ? "amd64" : process.arch,
    os: "linux",
    config: {
      Env: ["PATH=/bin"],
      Entrypoint: [],
      Cmd: ["/bin/sleep", "3600"],
      StopSignal: "SIGKILL",
    },
    rootfs: { type: "layers", diff_ids: [`sha256:${sha256(layer)}`] },
  }
  writeFileSync(join(archive, "config.json"), JSON.stringify(config))
  const manifest = [{ Config: "config.json", RepoTags: [IMAGE], Layers: ["layer.tar"] }]
  writeFileSync(join(archive, "manifest.json"), JSON.stringify(manifest))
  const path = join(directory, "image.tar")
  const members = ["manifest.json", "config.json", "layer.tar"]
  await run(["tar", "-C", archive, "-cf", path, ...members])
  return path
}

function sha256(bytes: Uint8Array): string {
  return createHash("sha256").update(bytes).digest("hex")
}

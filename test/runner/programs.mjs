/** Programs that tests use and no Debian package has: fetched or built once, kept in node_modules/.cache. */
import { createHash } from "node:crypto"
import {
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  renameSync,
  rmSync,
} from "node:fs"
import { dirname, join } from "node:path"
import { outputOf, runProgram } from "./process.mjs"
import { ensureDebian } from "./setup.mjs"

/** cnitool by version: 1.3.0 knows GC and STATUS and wants Go 1.21; 1.1.2 builds with Debian 12's. */
const CNITOOL_VERSIONS = ["v1.3.0", "v1.1.2"]
const GO_TIMEOUT_MS = 5 * 60_000
const PIP_TIMEOUT_MS = 2 * 60_000
const CACHE = "node_modules/.cache/lariat"

/** How each is had, and the variable that tells its path to the tests. */
const PROGRAMS = {
  cnitool: { ensure: ensureCnitool, variable: "LARIAT_CNITOOL" },
  metadata_client: { ensure: ensureMetadataClient, variable: "LARIAT_METADATA_CLIENT" },
  rancher_metadata: { ensure: ensureRancherMetadata, variable: "LARIAT_RANCHER_METADATA" },
}

/**
 * Builds or fetches a program.
 *
 * @param {string} root the checkout
 * @param {"cnitool" | "metadata_client" | "rancher_metadata"} name
 * @returns {Promise<{ env: NodeJS.ProcessEnv } | { obstacle: string }>} what to add to a suite's
 *   environment, or why the program cannot be had
 */
export async function ensureProgram(root, name) {
  const { ensure, variable } = PROGRAMS[name]
  const { path, obstacle } = await ensure(root)
  return path === undefined ? { obstacle } : { env: { [variable]: path } }
}

/** cnitool, from its Go module. */
async function ensureCnitool(root) {
  const pathOf = (version) => join(root, CACHE, `cnitool-${version}`, "cnitool")
  const built = CNITOOL_VERSIONS.map(pathOf).find((path) => existsSync(path))
  if (built !== undefined) return { path: built }
  const obstacle = await ensureGo()
  if (obstacle !== undefined) return { obstacle }
  for (const version of CNITOOL_VERSIONS) {
    console.log(`setup: cnitool ${version} from its Go module`)
    const env = { ...process.env, GOBIN: dirname(pathOf(version)), GOFLAGS: "-mod=mod" }
    const module = `github.com/containernetworking/cni/cnitool@${version}`
    const result = await runProgram(["go", "install", module], { env, timeoutMs: GO_TIMEOUT_MS })
    if (result.status === 0) return { path: pathOf(version) }
  }
  return { obstacle: "needs cnitool, whose Go module cannot be fetched or built" }
}

/** The client of the metadata API, from its source among the tests; it needs no module. */
async function ensureMetadataClient(root) {
  const source = join(root, "test/clients/metadata_client")
  const hash = createHash("sha256")
  for (const name of readdirSync(source).sort()) hash.update(readFileSync(join(source, name)))
  const built = `metadata_client-${hash.digest("hex").slice(0, 16)}`
  const path = join(root, CACHE, built)
  if (existsSync(path)) return { path }
  const obstacle = await ensureGo()
  if (obstacle !== undefined) return { obstacle }
  console.log("setup: the Go client of the metadata API")
  const env = { ...process.env, GOFLAGS: "-buildvcs=false", GOTOOLCHAIN: "local", CGO_ENABLED: "0" }
  const build = ["go", "build", "-o", path, "."]
  const result = await runProgram(build, { cwd: source, env, timeoutMs: GO_TIMEOUT_MS })
  return result.status === 0 ? { path } : { obstacle: "needs a Go that builds the client" }
}

/** The folder of a Python module that was written for the original's API, as it was published. */
async function ensureRancherMetadata(root) {
  const requirements = join(root, "test/clients/rancher_metadata/requirements.txt")
  const hash = createHash("sha256").update(readFileSync(requirements))
  const path = join(root, CACHE, `rancher_metadata-${hash.digest("hex").slice(0, 16)}`)
  if (existsSync(path)) return { path }
  console.log("setup: rancher-metadata from its Python package")
  mkdirSync(join(root, CACHE), { recursive: true })
  const target = mkdtempSync(join(root, CACHE, "rancher_metadata-new-"))
  const install = [
    "/usr/bin/python3",
    "-m",
    "pip",
    "install",
    "--quiet",
    "--no-deps",
    "--root-user-action=ignore",
  ]
  const what = ["--require-hashes", "--requirement", requirements, "--target", target]
  const result = await runProgram([...install, ...what], { timeoutMs: PIP_TIMEOUT_MS })
  if (result.status !== 0) {
    rmSync(target, { recursive: true })
    return { obstacle: "needs the Python package rancher-metadata, which cannot be fetched" }
  }
  renameSync(target, path)
  return { path }
}

/** Why there is no Go, or undefined where there is. */
async function ensureGo() {
  return outputOf(["go", "version"]) === undefined ? await ensureDebian(["golang-go"]) : undefined
}

/**
 * Builds Lariat: `bun build.ts [--host] [--outdir DIR] [--stamp TEXT]`, or only writes the notices
 * of what is bundled: `bun build.ts --notices`.
 *
 * dist/lariat-linux-x64 and dist/lariat-linux-arm64 are whole programs, dist/lariat is the one for
 * this machine, dist/SHA256SUMS has their hashes. The same sources at the same commit give the same
 * bytes, wherever they are built. `--host` builds for this machine alone, which needs no network;
 * `--stamp` is written to DIR/.sources.sha256 in the end, for whoever wants to know what was built.
 */
import { createHash } from "node:crypto"
import {
  chmodSync,
  existsSync,
  linkSync,
  mkdirSync,
  readFileSync,
  renameSync,
  rmSync,
  statSync,
  writeFileSync,
} from "node:fs"
import { basename, join, relative, resolve } from "node:path"
import { parseArgs } from "node:util"
import { compileWasm, wasmModulePath } from "./asm/compile.mjs"
import { bundledPackages, noticesModule, noticesText, readNotice } from "./src/packaging/notices.ts"

const ROOT = import.meta.dirname
const NOTICES = join(ROOT, "src/packaging/notices.generated.ts")
const NPM_TIMEOUT_MS = 5 * 60_000

/** Platforms in the words of Lariat's file names, and of the npm packages that carry Bun. */
const ARCHITECTURES = { x64: "linux-x64", arm64: "linux-aarch64" } as const
type Architecture = keyof typeof ARCHITECTURES

/** How sources become a bundle, also where only its inputs are asked for. */
const BUNDLE = {
  target: "bun",
  // Chunks lie side by side in the program, so a worker must too for its relative URL to hold.
  naming: { entry: "[name].[ext]" },
  minify: true,
  format: "esm",
  // Each role loads its own chunks alone: the plugin starts in a third of the time.
  splitting: true,
} as const

interface Options {
  readonly outdir: string
  readonly architectures: readonly Architecture[]
  readonly stamp: string | undefined
}

async function build(options: Options): Promise<void> {
  mkdirSync(options.outdir, { recursive: true })
  for (const name of ["lariat", "SHA256SUMS", ".sources.sha256"]) {
    rmSync(join(options.outdir, name), { force: true })
  }
  for (const architecture of Object.keys(ARCHITECTURES)) {
    rmSync(join(options.outdir, `lariat-linux-${architecture}`), { force: true })
  }
  await timed("wasm core", checkWasm)
  await timed("notices", checkNotices)
  const define = {
    LARIAT_VERSION: JSON.stringify(manifest().version),
    LARIAT_BUILD: JSON.stringify(commit()),
  }
  const sums: string[] = []
  for (const architecture of options.architectures) {
    const file = join(options.outdir, `lariat-linux-${architecture}`)
    await timed(relative(ROOT, file), async () => {
      await compile(file, architecture, define)
      const hash = createHash("sha256").update(readFileSync(file)).digest("hex")
      sums.push(`${hash}  ${basename(file)}\n`)
      return `${(statSync(file).size / 1e6).toFixed(1)} MB, sha256 ${hash.slice(0, 16)}…`
    })
  }
  linkSync(
    join(options.outdir, `lariat-linux-${hostArchitecture()}`),
    join(options.outdir, "lariat"),
  )
  writeFileSync(join(options.outdir, "SHA256SUMS"), sums.join(""))
  if (options.stamp !== undefined) {
    writeFileSync(join(options.outdir, ".sources.sha256"), options.stamp)
  }
}

/** Runs a step and says what it made and how long it took. */
async function timed(what: string, step: () => Promise<string>): Promise<void> {
  const started = performance.now()
  const result = await step()
  console.log(`build: ${what}: ${result}, ${Math.round(performance.now() - started)} ms`)
}

/** The generated module is committed; it must be what asm/ compiles to. */
async function checkWasm(): Promise<string> {
  const { bytes, source } = await compileWasm()
  const committed = existsSync(wasmModulePath) ? readFileSync(wasmModulePath, "utf8") : ""
  if (committed !== source) {
    throw new Error(
      `${relative(ROOT, wasmModulePath)} is not what asm/ compiles to: run node asm/compile.mjs`,
    )
  }
  return `${bytes.length} bytes, as committed`
}

/** The generated module is committed; it must be what the bundle of now makes. */
async function checkNotices(): Promise<string> {
  const { packages, source } = await bundleNotices()
  const committed = existsSync(NOTICES) ? readFileSync(NOTICES, "utf8") : ""
  if (committed !== source) {
    throw new Error(
      `${relative(ROOT, NOTICES)} is not what the bundle holds: run bun build.ts --notices`,
    )
  }
  return `${packages} packages, as committed`
}

async function bundleNotices(): Promise<{ packages: number; source: string }> {
  const { metafile } = await Bun.build({ ...BUNDLE, entrypoints: entrypoints(), metafile: true })
  if (metafile === undefined) throw new Error("the bundle does not say what it holds")
  // The bundler's paths start where this process did.
  const packages = bundledPackages(Object.keys(metafile.inputs)).map((path) =>
    readNotice(resolve(path)),
  )
  return { packages: packages.length, source: noticesModule(noticesText(packages, Bun.version)) }
}

async function compile(
  file: string,
  architecture: Architecture,
  define: Record<string, string>,
): Promise<void> {
  const directory = join(file, "..", `.new-${process.pid}`)
  try {
    const result = await Bun.build({
      ...BUNDLE,
      entrypoints: entrypoints(),
      define,
      // Saves the plugin a third of what its start costs beyond the runtime's own.
      bytecode: true,
      compile: {
        target: `bun-linux-${architecture}`,
        executablePath: await runtime(architecture),
        outfile: join(directory, basename(file)),
        // Else a file in the directory that it is started from would run code in it, as root.
        autoloadBunfig: false,
        autoloadDotenv: false,
        autoloadTsconfig: false,
        autoloadPackageJson: false,
      },
    })
    if (!result.success) throw new AggregateError(result.logs, "the bundle failed")
    chmodSync(join(directory, basename(file)), 0o755)
    // Running programs keep the file that they were started from.
    renameSync(join(directory, basename(file)), file)
  } finally {
    rmSync(directory, { recursive: true, force: true })
  }
}

/** Workers are entry points of their own; nothing imports them. */
function entrypoints(): string[] {
  const found = [...new Bun.Glob("src/**/*_worker.ts").scanSync(ROOT)].sort()
  const names = found.map((file) => basename(file))
  const twice = names.find((name, index) => names.indexOf(name) !== index)
  if (twice !== undefined) throw new Error(`two workers are named ${twice}`)
  return ["src/main.ts", ...found].map((file) => join(ROOT, file))
}

/** Path of the Bun that becomes part of the program. */
async function runtime(architecture: Architecture): Promise<string> {
  if (architecture === hostArchitecture()) return process.execPath
  const name = `@oven/bun-${ARCHITECTURES[architecture]}`
  const cache = join(ROOT, "node_modules/.cache/lariat", `${basename(name)}-${Bun.version}`)
  const path = join(cache, "package/bin/bun")
  if (existsSync(path)) return path
  console.log(`build: fetching ${name} ${Bun.version} from the npm registry`)
  const partial = `${cache}.${process.pid}`
  mkdirSync(partial, { recursive: true })
  try {
    const packed = run(["npm", "pack", "--silent", `${name}@${Bun.version}`], partial)
    const archive = join(partial, packed.trim())
    requireIntegrity(name, archive)
    run(["tar", "-xzf", archive, "package/bin/bun"], partial)
    rmSync(archive)
    rmSync(cache, { recursive: true, force: true })
    renameSync(partial, cache)
  } finally {
    rmSync(partial, { recursive: true, force: true })
  }
  return path
}

/** The archive must be the one that package-lock.json names. */
function requireIntegrity(name: string, archive: string): void {
  const lock = JSON.parse(readFileSync(join(ROOT, "package-lock.json"), "utf8")) as {
    packages: Record<string, { version?: string; integrity?: string }>
  }
  const locked = lock.packages[`node_modules/${name}`]
  const actual = `sha512-${createHash("sha512").update(readFileSync(archive)).digest("base64")}`
  if (locked?.version === Bun.version && locked.integrity === actual) return
  throw new Error(`${name} ${Bun.version} is not the package that package-lock.json names`)
}

function run(argv: string[], cwd: string): string {
  const result = Bun.spawnSync(argv, { cwd, timeout: NPM_TIMEOUT_MS, stdin: "ignore" })
  if (result.success) return result.stdout.toString()
  throw new Error(`${argv.join(" ")} failed: ${result.stderr.toString().trim()}`)
}

function manifest(): { version: string } {
  return JSON.parse(readFileSync(join(ROOT, "package.json"), "utf8")) as { version: string }
}

/** The commit that is built, `-dirty` when files differ from it; "unversioned" when none is known. */
function commit(): string {
  if (!existsSync(join(ROOT, ".git")) || Bun.which("git") === null) return "unversioned"
  // Root may build a checkout that is another user's, which git refuses unless told.
  const git = ["git", "-c", `safe.directory=${ROOT}`, "describe"]
  return run([...git, "--always", "--dirty", "--abbrev=12", "--exclude=*"], ROOT).trim()
}

function hostArchitecture(): Architecture {
  return process.arch === "arm64" ? "arm64" : "x64"
}

const { values } = parseArgs({
  options: {
    host: { type: "boolean", default: false },
    outdir: { type: "string", default: join(ROOT, "dist") },
    stamp: { type: "string" },
    notices: { type: "boolean", default: false },
  },
})
try {
  if (values.notices) writeFileSync(NOTICES, (await bundleNotices()).source)
  else {
    await build({
      outdir: resolve(values.outdir),
      architectures: values.host ? [hostArchitecture()] : ["x64", "arm64"],
      stamp: values.stamp,
    })
  }
} catch (error) {
  const causes = error instanceof AggregateError ? error.errors : [error]
  for (const cause of causes) {
    console.error(`build: ${cause instanceof Error ? cause.message : String(cause)}`)
  }
  process.exitCode = 1
}

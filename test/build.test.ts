/** What build.ts makes: the same bytes everywhere, deaf to its surroundings, one of several names. */
import { afterAll, beforeAll, describe, expect, test } from "bun:test"
import { spawnSync } from "node:child_process"
import {
  cpSync,
  existsSync,
  linkSync,
  mkdirSync,
  mkdtempSync,
  readFileSync,
  rmSync,
  symlinkSync,
  writeFileSync,
} from "node:fs"
import { tmpdir } from "node:os"
import { dirname, join } from "node:path"

const ROOT = join(import.meta.dirname, "..")
const BINARY = join(ROOT, "dist/lariat")
const BUN = join(ROOT, "node_modules/.bin/bun")
const BUILD_TIMEOUT_MS = 120_000

let scratch = ""
beforeAll(() => {
  scratch = mkdtempSync(join(tmpdir(), "lariat-build-"))
})
afterAll(() => rmSync(scratch, { recursive: true, force: true }))

/** Runs a program in a directory with nothing of ours in its environment but `env`. */
function run(argv: readonly string[], cwd: string, env: Readonly<Record<string, string>> = {}) {
  const [program = "", ...args] = argv
  const base = { PATH: process.env.PATH ?? "", HOME: scratch, npm_config_cache: npmCache() }
  const result = spawnSync(program, args, {
    cwd,
    env: { ...base, ...env },
    encoding: "utf8",
    timeout: BUILD_TIMEOUT_MS,
  })
  if (result.error !== undefined) throw result.error
  return result
}

function npmCache(): string {
  return process.env.npm_config_cache ?? join(process.env.HOME ?? scratch, ".npm")
}

describe("the build", () => {
  /** Copies what a build reads to another place, as a clone without its history. */
  function copyCheckout(directory: string, sources = ROOT): void {
    mkdirSync(join(directory, "node_modules"), { recursive: true })
    const files = ["build.ts", "package.json", "package-lock.json", "tsconfig.json", "src", "asm"]
    for (const name of files) {
      cpSync(join(sources, name), join(directory, name), { recursive: true })
    }
    for (const [path, { dev }] of lockedPackages()) {
      // What ends in the program is copied, as npm would; the compiler and the cache are only used.
      const [from, to] = [join(ROOT, path), join(directory, path)]
      if (!existsSync(from) || existsSync(to)) continue
      mkdirSync(dirname(to), { recursive: true })
      if (dev === true) symlinkSync(from, to)
      else cpSync(from, to, { recursive: true })
    }
    symlinkSync(join(ROOT, "node_modules/.cache"), join(directory, "node_modules/.cache"))
  }

  function lockedPackages(): [string, { dev?: boolean }][] {
    const lock = JSON.parse(readFileSync(join(ROOT, "package-lock.json"), "utf8")) as {
      packages: Record<string, { dev?: boolean }>
    }
    return Object.entries(lock.packages).filter(([path]) => path !== "")
  }

  test(
    "gives the same bytes wherever it runs, for both platforms",
    () => {
      const places = [join(scratch, "one"), join(scratch, "two/levels/deeper")]
      // Both from one copy: somebody may be at work in the checkout meanwhile.
      copyCheckout(places[0] ?? "")
      copyCheckout(places[1] ?? "", places[0])
      const sums = places.map((place) => {
        const built = run([BUN, "build.ts"], place)
        expect(built.stderr).toBe("")
        expect(run(["sha256sum", "--check", "SHA256SUMS"], join(place, "dist")).status).toBe(0)
        return readFileSync(join(place, "dist/SHA256SUMS"), "utf8")
      })
      expect(sums[0]).toMatch(
        /^[0-9a-f]{64} {2}lariat-linux-x64\n[0-9a-f]{64} {2}lariat-linux-arm64\n$/,
      )
      expect(sums[1]).toBe(sums[0] ?? "")
      // ELF header, e_machine: EM_X86_64 is 62, EM_AARCH64 183.
      const machine = (name: string) =>
        readFileSync(join(scratch, "one/dist", name))
          .subarray(0, 20)
          .readUInt16LE(18)
      expect(machine("lariat-linux-x64")).toBe(62)
      expect(machine("lariat-linux-arm64")).toBe(183)
    },
    BUILD_TIMEOUT_MS,
  )

  const qemu = Bun.which("qemu-aarch64")
  const armLibraries = "/usr/aarch64-linux-gnu"
  test.skipIf(qemu === null || !existsSync(armLibraries))(
    "makes an arm64 program that runs",
    () => {
      const arm = join(scratch, "one/dist/lariat-linux-arm64")
      const emulate = [qemu ?? "", "-L", armLibraries, "-0", "rancher-bridge", arm]
      const said = run(emulate, scratch, { CNI_COMMAND: "VERSION" })
      expect(JSON.parse(said.stdout)).toHaveProperty("supportedVersions")
    },
  )

  test.each([
    ["a WASM module", "src/core/wasm.generated.ts", "AGFzbQ", "run node asm/compile.mjs"],
    [
      "a list of notices",
      "src/packaging/notices.generated.ts",
      "commander",
      "run bun build.ts --notices",
    ],
  ])(
    "refuses %s when it is stale: %s",
    (what, module, part, remedy) => {
      const place = join(scratch, `stale ${what}`)
      copyCheckout(place)
      const generated = join(place, module)
      writeFileSync(generated, readFileSync(generated, "utf8").replace(part, "AGFzbR"))
      const built = run([BUN, "build.ts", "--host"], place)
      expect(built.status).toBe(1)
      expect(built.stderr).toContain(remedy)
      expect(existsSync(join(place, "dist/lariat"))).toBe(false)
    },
    BUILD_TIMEOUT_MS,
  )
})

describe("the program", () => {
  test("says which version, commit and core it is", () => {
    const { version } = JSON.parse(readFileSync(join(ROOT, "package.json"), "utf8"))
    const said = run([BINARY, "version"], scratch).stdout
    expect(said).toContain(version)
    const hash = /wasmSha256 = "([0-9a-f]+)"/.exec(
      readFileSync(join(ROOT, "src/core/wasm.generated.ts"), "utf8"),
    )?.[1]
    expect(said).toContain(hash?.slice(0, 12) ?? "no hash")
  })

  test("has the licence of every package that is bundled, and of the runtime", async () => {
    const entrypoints = [join(ROOT, "src/main.ts")]
    const { metafile } = await Bun.build({ entrypoints, target: "bun", metafile: true })
    const bundled = Object.keys(metafile?.inputs ?? {}).flatMap(
      (path) => /node_modules\/((?:@[^/]+\/)?[^/]+)/.exec(path)?.[1] ?? [],
    )
    expect(bundled).toContain("commander")
    const said = run([BINARY, "licenses"], scratch)
    expect(said.status).toBe(0)
    for (const name of new Set(bundled)) {
      const folder = join(ROOT, "node_modules", name)
      const { version } = JSON.parse(readFileSync(join(folder, "package.json"), "utf8"))
      expect(said.stdout).toContain(`${name} ${version} (`)
      const text = readFileSync(join(folder, "LICENSE"), "utf8").replaceAll("\r\n", "\n").trim()
      expect(said.stdout).toContain(text)
    }
    expect(said.stdout).toContain(`Bun ${Bun.version}`)
    expect(said.stdout).toContain("JavaScriptCore")
    expect(said.stdout).toContain("GNU LIBRARY GENERAL PUBLIC LICENSE")
  })

  test("reads nothing from the directory that it is started in", () => {
    const place = join(scratch, "planted")
    mkdirSync(place)
    const marker = join(place, "marker")
    writeFileSync(join(place, "bunfig.toml"), 'preload = ["./preload.ts"]\n')
    const preload = `require("node:fs").writeFileSync(${JSON.stringify(marker)}, "ran")\n`
    writeFileSync(join(place, "preload.ts"), preload)
    writeFileSync(join(place, ".env"), "CNI_COMMAND=VERSION\n")
    writeFileSync(join(place, "tsconfig.json"), '{"compilerOptions":{"paths":{"*":["./*"]}}}\n')
    writeFileSync(join(place, "package.json"), '{"imports":{"#x":"./preload.ts"}}\n')
    writeFileSync(join(place, "shown.ts"), "console.log(process.env.CNI_COMMAND)\n")

    // The trap works: Bun itself falls into it.
    expect(run([BUN, "run", "shown.ts"], place).stdout).toBe("VERSION\n")
    expect(existsSync(marker)).toBe(true)
    rmSync(marker)
    // And CNI_COMMAND does make a difference to the program, when it is really set.
    const versions = expect.stringContaining('"supportedVersions"')
    expect(run([BINARY], place, { CNI_COMMAND: "VERSION" }).stdout).toEqual(versions)

    expect(run([BINARY], place).stdout).not.toEqual(versions)
    expect(run([BINARY, "version"], place).status).toBe(0)
    expect(existsSync(marker)).toBe(false)
  })

  test.each(["rancher-bridge", "rancher-cni-ipam", "lariat-cni"])("is the plugin as %s", (name) => {
    const links = join(scratch, name)
    mkdirSync(links)
    symlinkSync(BINARY, join(links, name))
    const calls = [run([join(links, name)], scratch, { CNI_COMMAND: "VERSION" })]
    // As a shell's exec -a names it, and found through the search path.
    const script = `exec -a ${name} ${BINARY}`
    calls.push(run(["bash", "-c", script], scratch, { CNI_COMMAND: "VERSION" }))
    const path = `${links}:${process.env.PATH}`
    calls.push(run(["sh", "-c", name], scratch, { CNI_COMMAND: "VERSION", PATH: path }))
    for (const { status, stdout } of calls) {
      expect(status).toBe(0)
      const answer = JSON.parse(stdout) as { supportedVersions: string[] }
      expect(answer.supportedVersions).toContain("1.1.0")
      expect(answer.supportedVersions).toContain("0.1.0")
    }
  })

  test("is the command line under its own name, also by hard link", () => {
    const copy = join(scratch, "lariat")
    try {
      linkSync(BINARY, copy)
    } catch {
      // Another file system.
      cpSync(BINARY, copy)
    }
    const help = run([copy, "--help"], scratch)
    expect(help.status).toBe(0)
    expect(help.stdout).toContain("Usage: lariat")
    expect(run([copy, "no-such-command"], scratch).status).toBe(2)
  })
})

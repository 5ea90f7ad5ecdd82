/** The rules of the house hold for every file, and each rule catches what it forbids. */
import { describe, expect, test } from "bun:test"
import { existsSync, readdirSync, readFileSync } from "node:fs"
import { join } from "node:path"
import { checkCode } from "./structure/code.ts"
import { checkDependencies } from "./structure/dependencies.ts"
import { checkCycles, checkFolders, checkRooms } from "./structure/rooms.ts"
import { parseSource, type SourceFile } from "./structure/source_file.ts"
import { checkTestsBeside, LIVE_TESTED } from "./structure/tests_beside.ts"
import { checkTopLevel } from "./structure/top_level.ts"
import { checkUnused, USED_OUTSIDE } from "./structure/unused.ts"
import type { Violation } from "./structure/violation.ts"

const ROOT = join(import.meta.dirname, "..")
const NOT_OURS: ReadonlySet<string> = new Set(["node_modules", "dist", ".git"])
const transpiler = new Bun.Transpiler({ loader: "ts", target: "bun" })
const strip = (text: string) => transpiler.transformSync(text)

describe("the sources", () => {
  const files = [...filesOf("src"), ...filesOf("test"), ...filesOf("asm"), read("build.ts")]
  const sources = files.filter(({ path }) => !path.startsWith("asm/"))

  test("are there", () => expect(sources.length).toBeGreaterThan(50))

  test("import one way between rooms", () => expectNone(checkRooms(sources)))

  test("lie in folders that one can take in", () => expectNone(checkFolders(sources)))

  test("use each package as package.json declares it", () => {
    const manifest = JSON.parse(readFileSync(join(ROOT, "package.json"), "utf8"))
    expectNone(checkDependencies(sources, manifest))
  })

  test("import without cycles", () => expectNone(checkCycles(sources)))

  test("say nothing that the rules forbid", () => expectNone(sources.flatMap(checkCode)))

  test("have tests beside them", () => {
    const exists = (path: string) => existsSync(join(ROOT, path))
    expectNone(checkTestsBeside(sources, LIVE_TESTED, exists, strip))
  })

  test("are all of use", () => expectNone(checkUnused(files, USED_OUTSIDE)))

  test("are not too long, the WASM core's either", () => {
    expectNone(files.flatMap(checkCode).filter(({ message }) => message.includes("lines")))
  })

  test("lie where the house has room for them", () => {
    expectNone(checkTopLevel(readdirSync(ROOT).filter((name) => !NOT_OURS.has(name))))
  })
})

describe("the rules", () => {
  const faults = (path: string, text: string) =>
    checkCode(parseSource(path, text)).map(({ line, message }) => `${line}: ${message}`)

  test.each([
    ["src/netlink/a.ts", "src/endpoint/b.ts"],
    ["src/core/a.ts", "src/sys/b.ts"],
    ["src/ipam/a.ts", "src/config/b.ts"],
    ["src/cni/a.ts", "src/agent/b.ts"],
    ["src/agent/a.ts", "src/cli/b.ts"],
    ["src/main.ts", "src/agent/b.ts"],
    ["src/agent/a.ts", "src/main.ts"],
    ["src/errors.ts", "src/core/b.ts"],
    ["src/nowhere/a.ts", "src/core/b.ts"],
    ["src/netlink/a.test.ts", "src/endpoint/b.ts"],
    ["src/netlink/a.ts", "test/netns/b.ts"],
    ["src/netlink/a.ts", "asm/b.mjs"],
    ["src/netlink/route/a.ts", "src/netlink/nftables/b.ts"],
    ["src/cluster/store/a.ts", "src/cluster/store/etcd/b.ts"],
    ["src/agent/state/a.ts", "src/agent/control/b.ts"],
    ["src/agent/cluster/state/a.ts", "src/agent/cluster/blocks/b.ts"],
    ["src/demo/a.ts", "src/cli/b.ts"],
  ])("%s may not import %s", (from, to) => {
    const specifier = `${"../".repeat(from.split("/").length - 1)}${to}`
    for (const text of [
      `import { x } from "${specifier}"`,
      `import type { X } from "${specifier}"`,
      `export * from "${specifier}"`,
      `const x = await import("${specifier}")`,
      `type X = import("${specifier}").X`,
      `new Worker(new URL("${specifier.replace(/\.\w+$/, "_worker.ts")}", import.meta.url))`,
    ]) {
      expect(checkRooms([parseSource(from, text)])).toHaveLength(1)
    }
  })

  test.each([
    ["src/netlink/a.ts", "src/sys/b.ts"],
    ["src/netlink/a.ts", "src/errors.ts"],
    ["src/cli/a.ts", "src/agent/b.ts"],
    ["src/agent/a.test.ts", "test/fixtures/b.ts"],
    ["src/core/a.test.ts", "asm/b.mjs"],
    ["src/netlink/xfrm/a.ts", "src/netlink/route/b.ts"],
    ["src/netlink/route/a.ts", "src/netlink/b.ts"],
    ["src/netlink/a.ts", "src/netlink/route/b.ts"],
    ["src/cluster/store/etcd/a.ts", "src/cluster/store/b.ts"],
    ["src/netlink/route/a.test.ts", "src/netlink/nftables/b.ts"],
    ["src/cli/a.ts", "src/demo/b.ts"],
  ])("%s may import %s", (from, to) => {
    const specifier = `${"../".repeat(from.split("/").length - 1)}${to}`
    expect(checkRooms([parseSource(from, `import { x } from "${specifier}"`)])).toEqual([])
  })

  test("a folder that nobody planned is refused, and the message says what there is", () => {
    const [fault] = checkRooms([parseSource("src/netlink/bridge/a.ts", "")])
    expect(fault?.message).toContain("netlink has route, xfrm, nftables, wireguard, conntrack")
  })

  test("a folder with too many sources is named; tests do not count", () => {
    const many = (count: number, end: string) =>
      Array.from({ length: count }, (_, index) => parseSource(`src/dns/f${index}${end}`, ""))
    expect(checkFolders([...many(25, ".ts"), ...many(25, ".test.ts")])).toEqual([])
    expect(checkFolders(many(26, ".ts")).map(({ path }) => path)).toEqual(["src/dns"])
  })

  test.each([
    ["src/dns/a.ts", "@x/used/part", "dependencies", []],
    ["src/dns/a.test.ts", "@x/used", "devDependencies", []],
    ["src/dns/a.ts", "@x/used", "devDependencies", ["@x/used is a development dependency"]],
    [
      "src/dns/a.test.ts",
      "@x/used",
      "dependencies",
      ["only tests import @x/used: it belongs to devDependencies"],
    ],
    [
      "test/a.ts",
      "@x/used",
      "dependencies",
      ["only tests import @x/used: it belongs to devDependencies"],
    ],
    ["src/dns/a.ts", "@x/other", "dependencies", ["nothing imports @x/used: take it out"]],
  ] as const)("%s with %s of %s", (path, specifier, group, wanted) => {
    const file = parseSource(path, `import { x } from "${specifier}"`)
    const manifest = { [group]: { "@x/used": "1.0.0" } }
    const found = checkDependencies([file], manifest).map(({ message }) => message)
    expect(found).toEqual([...wanted])
  })

  test("what a comment or a string says is no import", () => {
    const text = `// import "../endpoint/b.ts"\n/* from "../endpoint/b.ts" */\nf('from "../cli/c.ts"')`
    expect(parseSource("src/netlink/a.ts", text).imports).toEqual([])
  })

  test("cycles are found, each once", () => {
    const files = [
      parseSource("src/core/a.ts", 'import { b } from "./b.ts"'),
      parseSource("src/core/b.ts", 'import type { C } from "./c.ts"'),
      parseSource("src/core/c.ts", 'import { a } from "./a.ts"'),
      parseSource("src/core/d.ts", 'import { a } from "./a.ts"'),
    ]
    expect(checkCycles(files).map(({ message }) => message)).toEqual([
      "import cycle src/core/a.ts → src/core/b.ts → src/core/c.ts → src/core/a.ts",
    ])
  })

  test.each([
    ["bun:ffi", 'import { dlopen } from "bun:ffi"'],
    ["bun:ffi later", 'const f = await import("bun:ffi")'],
    ["Deno", "const x = Deno.pid"],
    ["Bun", "Bun.sleepSync(1)"],
    ["Bun by globalThis", "const x = globalThis.Bun"],
  ])("%s stays in src/sys", (_, text) => {
    expect(faults("src/agent/a.ts", text)).toHaveLength(1)
    expect(faults("src/sys/a.ts", text)).toEqual([])
    expect(faults("src/agent/a.ts", `// ${text}\nconst y = "Bun.x Deno.y bun:ffi"`)).toEqual([])
  })

  test.each([
    'import { readFileSync } from "node:fs"',
    'import { readFile } from "node:fs/promises"',
    'import net from "node:net"',
    "const t = Date.now()",
    "const t = new Date()",
    "const t = performance.now()",
    "const r = Math.random()",
    "crypto.getRandomValues(bytes)",
    "const r = randomBytes(8)",
  ])("%s has no place in a pure room", (text) => {
    for (const room of ["config", "core", "ipam", "cluster", "metadata", "dns"]) {
      expect(faults(`src/${room}/a.ts`, text)).toHaveLength(1)
    }
    expect(faults("src/agent/a.ts", text)).toEqual([])
    expect(faults("src/ipam/a.test.ts", text)).toEqual([])
  })

  test("programs are started in two files only", () => {
    const text = 'import { spawn } from "node:child_process"'
    expect(faults("src/endpoint/a.ts", text)).toEqual(["1: may not start programs"])
    expect(faults("src/sys/a.ts", "Bun.spawnSync([])")).toEqual(["1: may not start programs"])
    expect(faults("src/cni/delegate_process.ts", text)).toEqual([])
  })

  test.each([
    [`// @ts-${"ignore"}`, "silences a checker"],
    [`// @ts-${"expect-error"}`, "silences a checker"],
    [`// biome${"-ignore"} lint: x`, "silences a checker"],
    ['import { x } from "./b"', "imports ./b without .ts"],
    ['import { x } from "./b.js"', "imports ./b.js without .ts"],
  ])("%j is refused", (text, message) => {
    const found = checkCode(parseSource("src/core/a.ts", text))
    expect(found.map((violation) => violation.message)).toEqual([message])
  })

  test("an import with its ending is fine", () => {
    expect(faults("src/core/a.ts", 'import { x } from "./b.ts"')).toEqual([])
  })

  test("default exports, any and non-null assertions are errors of Biome's", () => {
    const { rules } = JSON.parse(readFileSync(join(ROOT, "biome.json"), "utf8")).linter
    expect(rules.style).toMatchObject({ noDefaultExport: "error", noNonNullAssertion: "error" })
    expect(rules.suspicious).toMatchObject({ noExplicitAny: "error" })
  })

  test("500 lines are the most, also of a test", () => {
    for (const path of ["src/core/a.ts", "src/core/a.test.ts"]) {
      expect(faults(path, "\n".repeat(499))).toEqual([])
      expect(faults(path, "\n".repeat(500))).toHaveLength(1)
    }
  })

  test("a source that does something needs a test beside it", () => {
    const check = (files: SourceFile[], live: Record<string, string> = {}, there = true) =>
      checkTestsBeside(files, live, () => there, strip).map(({ path }) => path)
    const code = parseSource("src/core/a.ts", "export function a() {}")
    const arrow = parseSource("src/core/a.ts", "export const a = () => 1")
    const types = parseSource("src/core/a.ts", "export interface A { b: () => void }")
    const constants = parseSource("src/core/a.ts", "export const A = 1")
    const worker = parseSource("src/core/a_worker.ts", "onmessage = () => 1")
    expect(check([code])).toEqual(["src/core/a.ts"])
    expect(check([arrow])).toEqual(["src/core/a.ts"])
    for (const file of [types, constants, worker]) expect(check([file])).toEqual([])
    expect(check([code, parseSource("src/core/a.test.ts", "")])).toEqual([])
    const other = parseSource("src/core/other.test.ts", 'import { a } from "./a.ts"')
    expect(check([code, other])).toEqual([])
    const part = parseSource("src/core/part.ts", "export const part = () => 1")
    const whole = parseSource("src/core/a.ts", 'import { part } from "./part.ts"')
    expect(check([part, whole, other])).toEqual([])
    expect(check([part, other])).toEqual(["src/core/part.ts"])
    const away = parseSource("src/ipam/other.test.ts", 'import { a } from "../core/a.ts"')
    expect(check([code, away])).toEqual(["src/core/a.ts"])
    const live = { "src/core/a.ts": "test/netns/a.test.ts" }
    expect(check([code], live)).toEqual([])
    expect(check([code], live, false)).toEqual(["src/core/a.ts"])
    expect(check([code, other], live)).toEqual(["src/core/a.ts"])
    const folder = { "src/core/": "test/netns/a.test.ts" }
    expect(check([code], folder)).toEqual([])
    expect(check([code], folder, false)).toEqual(["src/core/a.ts"])
    expect(check([code, other], folder)).toEqual(["src/core/"])
  })

  test("what nobody outside tests uses is named", () => {
    const check = (texts: Record<string, string>, exempt: Record<string, string> = {}) =>
      checkUnused(
        Object.entries(texts).map(([path, text]) => parseSource(path, text)),
        exempt,
      ).map(({ path, line, message }) => `${path}:${line}: ${message}`)
    const [a, b, inTest] = ["src/core/a.ts", "src/core/b.ts", "src/core/a.test.ts"]
    const one = "export const one = 1"
    expect(check({ [a]: one })).toEqual([`${a}:1: nobody uses one`])
    expect(check({ [a]: one, [inTest]: 'import { one } from "./a.ts"' })).toHaveLength(1)
    expect(check({ [a]: `${one}\nf(one)` })).toEqual([`${a}:1: exports one to nobody`])
    expect(
      check({ [a]: `${one}\nf(one)`, "test/x.ts": 'import { one } from "../src/core/a.ts"' }),
    ).toEqual([])
    for (const use of [
      'import { two, one as uno } from "./a.ts"',
      'import { type one } from "./a.ts"',
      'export { one } from "./a.ts"\nimport { one } from "./b.ts"',
      'import * as all from "./a.ts"\nf(all.one)',
      'import * as all from "./a.ts"\nf(all)',
      'const { one } = await import("./a.ts")',
    ]) {
      expect(check({ [a]: one, [b]: use })).toEqual([])
    }
    expect(check({ [a]: one, [b]: 'import * as all from "./a.ts"\nf(all.two)' })).toHaveLength(1)
    for (const text of [
      "export async function one() {}",
      "export abstract class one {}",
      "export type one = 1",
      "const one = 1\nexport { one }",
      "export class A { f(): A { return this } }\nexport interface one { a: A }",
    ]) {
      expect(check({ [a]: text, [b]: 'import { A } from "./a.ts"\nf(x.f())' })).toHaveLength(1)
    }
    expect(check({ [a]: "export interface A { b: 1 }\nexport const f = (a: A) => a" })).toEqual([
      `${a}:2: nobody uses f`,
    ])
    expect(check({ [a]: one }, { one: "Bun calls it" })).toEqual([])
    expect(check({ [a]: "" }, { one: "Bun calls it" })).toEqual(["one:1: need not be excused"])
  })

  test("members of classes that no source names are named", () => {
    const members = (text: string, other = "") =>
      checkUnused([parseSource("src/core/a.ts", text), parseSource("src/core/b.ts", other)], {})
        .filter(({ message }) => message.includes("member"))
        .map(({ line, message }) => `${line}: ${message}`)
    const text = "class A {\n  readonly x = 1\n  f<T>(g: T): T {\n    return g\n  }\n}"
    expect(members(text)).toEqual(["2: nobody uses the member x", "3: nobody uses the member f"])
    expect(members(text, "a.x + a?.f()")).toEqual([])
    expect(members(text, "interface B { x: 1 }\nconst { f } = a")).toEqual([])
    expect(members("class A {\n  static async *f() {}\n  get g() { return 1 }\n}")).toHaveLength(2)
    expect(members("class A {\n  constructor() {}\n  #f() {}\n  private g() {}\n}")).toEqual([])
    expect(members("class A {\n  f() {\n    a\n    b()\n    if (c) {}\n    d = 1\n  }\n}")).toEqual(
      ["2: nobody uses the member f"],
    )
  })

  test("the top level is closed", () => {
    expect(checkTopLevel(["src", "README.md", "docs"]).map(({ path }) => path)).toEqual(["docs"])
  })
})

function filesOf(folder: string): SourceFile[] {
  return readdirSync(join(ROOT, folder), { recursive: true })
    .map((name) => `${folder}/${String(name)}`)
    .filter((path) => path.endsWith(".ts") && !path.endsWith(".d.ts"))
    .filter((path) => !path.includes("node_modules") && !path.endsWith(".generated.ts"))
    .sort()
    .map(read)
}

function read(path: string): SourceFile {
  return parseSource(path, readFileSync(join(ROOT, path), "utf8"))
}

function expectNone(violations: readonly Violation[]): void {
  expect(violations.map(({ path, line, message }) => `${path}:${line}: ${message}`)).toEqual([])
}

import { afterAll, beforeAll, expect, test } from "bun:test"
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from "node:fs"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { bundledPackages, noticesModule, noticesText, readNotice } from "./notices.ts"

let scratch = ""
beforeAll(() => {
  scratch = mkdtempSync(join(tmpdir(), "lariat-notices-"))
})
afterAll(() => rmSync(scratch, { recursive: true, force: true }))

/** Installs a package that does nothing but have these files. */
function fakePackage(name: string, files: Readonly<Record<string, string>>): string {
  const folder = join(scratch, "node_modules", name)
  mkdirSync(folder, { recursive: true })
  for (const [file, text] of Object.entries(files)) writeFileSync(join(folder, file), text)
  return folder
}

const manifest = (name: string, more: object = { license: "MIT" }) =>
  JSON.stringify({ name, version: "1.2.3", ...more })

test("packages are told by the paths of a bundle's files, each once, also inside others", () => {
  const paths = [
    "src/main.ts",
    "node_modules/outer/lib/a.js",
    "node_modules/outer/lib/b.js",
    "../../node_modules/@scope/name/index.js",
    "node_modules/outer/node_modules/inner/index.js",
  ]
  expect(bundledPackages(paths)).toEqual([
    "../../node_modules/@scope/name",
    "node_modules/outer",
    "node_modules/outer/node_modules/inner",
  ])
})

test("a package's notice is its name, version, licence and every text of it", () => {
  const folder = fakePackage("good", {
    "package.json": manifest("good"),
    "LICENSE.md": "\r\nCopyright Somebody\r\nMay be used.\r\n",
    NOTICE: "Somebody wrote this.\n",
    "license-checker.js": "",
    "index.js": "",
  })
  expect(readNotice(folder)).toEqual({
    name: "good",
    version: "1.2.3",
    license: "MIT",
    text: "Copyright Somebody\nMay be used.\n\nSomebody wrote this.",
  })
})

test.each([
  ["no-file", { "package.json": manifest("no-file"), "index.js": "" }],
  ["empty-file", { "package.json": manifest("empty-file"), LICENSE: "\n" }],
  ["no-name", { "package.json": manifest("no-name", {}), LICENSE: "May be used." }],
])("a package without a licence is refused by its name: %s", (name, files) => {
  const folder = fakePackage(name, files)
  expect(() => readNotice(folder)).toThrow(`${name} 1.2.3 has no licence`)
})

test("the whole has the packages, the runtime, how to relink it, and the licences it needs", () => {
  const notice = { name: "good", version: "1.2.3", license: "MIT", text: "May be used." }
  const text = noticesText([notice], "9.9.9")
  expect(text).toContain("good 1.2.3 (MIT)\n")
  expect(text).toContain("\n\nMay be used.\n\n")
  expect(text).toContain("Bun 9.9.9, the runtime (MIT), with JavaScriptCore")
  expect(text).toContain("build.ts --host")
  expect(text).toContain("GNU LIBRARY GENERAL PUBLIC LICENSE")
  expect(text).toContain("GNU LESSER GENERAL PUBLIC LICENSE")
})

test("the module says the text as it is", async () => {
  const text = 'quotes " and \\ and {braces}\nlines ’'
  const path = join(scratch, "module.ts")
  writeFileSync(path, noticesModule(text))
  expect(await import(path)).toHaveProperty("notices", text)
})

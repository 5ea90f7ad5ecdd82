/** Notices of what the compiled program holds of others: made at build time, shown by `licenses`. */
import { readdirSync, readFileSync } from "node:fs"
import { join } from "node:path"

/** What a licence asks to be said of one package. */
export interface Notice {
  readonly name: string
  readonly version: string
  readonly license: string
  /** The licence in full, with the names of those who hold the rights. */
  readonly text: string
}

const PACKAGE = /^(?:.*\/)?node_modules\/(?:@[^/]+\/)?[^/]+(?=\/)/
const LICENCE_FILE = /^(licen[cs]e|copying|notice)([.-].*)?$/i

/**
 * The folders of the packages that files of a bundle come from, sorted.
 *
 * @param inputs paths of the bundle's files
 */
export function bundledPackages(inputs: readonly string[]): string[] {
  return [...new Set(inputs.flatMap((path) => PACKAGE.exec(path)?.[0] ?? []))].sort()
}

/**
 * Reads the notice of a package.
 *
 * @param folder where it is installed
 * @throws Error when it has no licence text: it may not be handed on without one
 */
export function readNotice(folder: string): Notice {
  const manifest = JSON.parse(readFileSync(join(folder, "package.json"), "utf8")) as {
    name: string
    version: string
    license?: string
  }
  const { name, version, license } = manifest
  const texts = readdirSync(folder)
    .filter((file) => LICENCE_FILE.test(file))
    .sort()
    .map((file) => readText(join(folder, file)))
    .filter((text) => text !== "")
  if (texts.length === 0 || license === undefined) {
    throw new Error(`${name} ${version} has no licence ${license ? "text" : "name"} in ${folder}`)
  }
  return { name, version, license, text: texts.join("\n\n") }
}

/**
 * Everything that `lariat licenses` prints.
 *
 * @param packages what is bundled
 * @param bunVersion of the runtime that becomes part of the program
 */
export function noticesText(packages: readonly Notice[], bunVersion: string): string {
  const here = (name: string) => readText(join(import.meta.dirname, name))
  return [
    "Lariat is under the Apache License 2.0. The program holds the following works of others.",
    ...packages.map(({ name, version, license, text }) =>
      section(`${name} ${version} (${license})`, text),
    ),
    section(`Bun ${bunVersion}, the runtime (MIT), with JavaScriptCore`, here("bun_notice.txt")),
    section("GNU Library General Public License, version 2", here("lgpl-2.0.txt")),
    section("GNU Lesser General Public License, version 2.1", here("lgpl-2.1.txt")),
  ].join("\n\n")
}

/** The TypeScript module that carries the text. */
export function noticesModule(text: string): string {
  return `// Made by bun build.ts --notices from the packages of the bundle. Do not edit.

/** Notices of all that the program holds of others. */
export const notices =
  ${JSON.stringify(text)}
`
}

function section(title: string, text: string): string {
  return `${"=".repeat(80)}\n${title}\n${"=".repeat(80)}\n\n${text}`
}

/** A text file without the blank lines around it, with line ends of our own. */
function readText(path: string): string {
  return readFileSync(path, "utf8")
    .replaceAll(/\r\n|\f/g, "\n")
    .replace(/^\n+/, "")
    .trimEnd()
}

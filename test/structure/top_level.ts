/** What the checkout's top level holds: the house has no other rooms. */
import type { Violation } from "./violation.ts"

const TOP_LEVEL: ReadonlySet<string> = new Set([
  ...["package.json", "package-lock.json", "tsconfig.json", "biome.json", "build.ts"],
  ...["README.md", "LICENSE", ".gitignore", ".ci", "src", "asm", "test"],
])

/** Files and folders that do not belong at the top; `names` are those that git would keep. */
export function checkTopLevel(names: readonly string[]): Violation[] {
  return names
    .filter((name) => !TOP_LEVEL.has(name))
    .map((path) => ({ path, line: 1, message: "does not belong at the top level" }))
}

/** Packages are declared for what they are: src/ runs on dependencies, tests on the others. */
import type { SourceFile } from "./source_file.ts"
import { isTest } from "./source_file.ts"
import type { Violation } from "./violation.ts"

/** What package.json says of packages. */
export interface Manifest {
  readonly dependencies?: Readonly<Record<string, string>>
  readonly devDependencies?: Readonly<Record<string, string>>
}

/** Dependencies that no source of src/ imports, and packages of src/ that are not among them. */
export function checkDependencies(files: readonly SourceFile[], manifest: Manifest): Violation[] {
  const declared = new Set(Object.keys(manifest.dependencies ?? {}))
  const development = new Set(Object.keys(manifest.devDependencies ?? {}))
  const used = new Set<string>()
  const tested = new Set<string>()
  const violations: Violation[] = []
  for (const file of files) {
    const runs = file.path.startsWith("src/") && !isTest(file.path)
    for (const { specifier, line } of file.imports) {
      const name = packageOf(specifier)
      const group = runs ? used : tested
      group.add(name)
      if (!runs || declared.has(name) || !development.has(name)) continue
      violations.push({ path: file.path, line, message: `${name} is a development dependency` })
    }
  }
  for (const name of declared) {
    if (used.has(name)) continue
    const message = tested.has(name)
      ? `only tests import ${name}: it belongs to devDependencies`
      : `nothing imports ${name}: take it out`
    violations.push({ path: "package.json", line: 1, message })
  }
  return violations
}

/** `hono/utils/accept` is of `hono`, `@logtape/logtape` of itself. */
function packageOf(specifier: string): string {
  return specifier.split("/", specifier.startsWith("@") ? 2 : 1).join("/")
}

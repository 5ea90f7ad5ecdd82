/** Which JavaScript runtime this is. The rest of `sys` asks here; other rooms only print it. */

/** True under Deno, false under Bun. */
export const isDeno: boolean = "Deno" in globalThis

/** "bun 1.4.5" or "deno 2.9.6", for `version` and bug reports. */
export function runtimeName(): string {
  const versions: Readonly<Record<string, string | undefined>> = process.versions
  const name = isDeno ? "deno" : "bun"
  return `${name} ${versions[name] ?? "of unknown version"}`
}

/** The `Bun` global, undefined under Deno. */
export function bunGlobal(): typeof Bun | undefined {
  return (globalThis as { readonly Bun?: typeof Bun }).Bun
}

declare const LARIAT_VERSION: string | undefined
declare const LARIAT_BUILD: string | undefined

/** Version of this program; the build puts it in, sources say "0.0.0-dev". */
export const VERSION: string = typeof LARIAT_VERSION === "string" ? LARIAT_VERSION : "0.0.0-dev"

/** What was built: the commit, or "source" when run from sources. */
export const BUILD: string = typeof LARIAT_BUILD === "string" ? LARIAT_BUILD : "source"

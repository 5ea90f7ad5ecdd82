/** A run of `bun test`, and what it needs; suites.mjs tells each field. */
export interface Suite {
  readonly name: string
  readonly paths: readonly string[]
  readonly namespace: boolean
  readonly manyHosts?: boolean
  readonly kernel?: string
  readonly again?: boolean
  readonly binary: boolean
  readonly debian: readonly string[]
  readonly wanted: readonly string[]
  readonly program?: "cnitool" | "metadata_client" | "rancher_metadata"
  readonly timeoutMs: number
  readonly testTimeoutMs: number
  readonly command?: readonly string[]
}

/** What `lariat doctor` says of one matter. Scripts read these: add, never rename. */
export interface Finding {
  /**
   * What was looked at: `agent`, `kernel`, `sysctl`, `overlap`, `mtu`, `clock`, `store`, `dns`,
   * `upstream`, `metadata`.
   */
  readonly check: string
  /** `error`: something does not work; `warning`: it may; `ok`: it was looked at and is right. */
  readonly state: "ok" | "warning" | "error"
  /** What is so, one sentence. */
  readonly what: string
  /** How to mend it. */
  readonly hint?: string | undefined
}

/** What was looked at and is right. */
export function ok(check: string, what: string): Finding {
  return { check, state: "ok", what }
}

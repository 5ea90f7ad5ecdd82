import { askAgent } from "../agent/control/control_client.ts"
import { examine } from "../agent/doctor/checks.ts"
import type { Finding } from "../agent/doctor/finding.ts"
import { gather } from "../agent/doctor/gather.ts"
import type { StatusReport } from "../agent/report.ts"
import { show } from "./show.ts"
import { loadFiles } from "./validate.ts"

const MARKS = { ok: "ok     ", warning: "warning", error: "error  " } as const

/**
 * `lariat doctor`: what is wrong with this host and how to mend it. Exit code 1 when an error was
 * found.
 */
export async function doctor(options: {
  readonly json?: boolean
  readonly config: readonly string[]
}): Promise<number> {
  const { networks } = loadFiles(options.config)
  const view = await gather({
    askAgent: () => askAgent("status") as StatusReport,
    configured: networks,
  })
  const findings = examine(view)
  show(findings, options, renderFindings)
  return findings.some(({ state }) => state === "error") ? 1 : 0
}

/** The findings for people. */
export function renderFindings(findings: readonly Finding[]): string {
  return findings
    .flatMap(({ check, state, what, hint }) => [
      `${MARKS[state]}  ${check}: ${what}`,
      ...(hint === undefined ? [] : [`         ${hint}`]),
    ])
    .join("\n")
}

import type { RotationReport } from "../agent/cluster/report.ts"
import { askAgent } from "../agent/control/control_client.ts"
import { LariatError } from "../errors.ts"
import { show } from "./show.ts"

/** How often `--wait` asks, and how long it does, milliseconds. */
const POLL_MS = 200
const PATIENCE_MS = 60_000

/** `lariat rotate`: new keys now; with `wait` returns when every live peer uses them alone. */
export async function rotate(options: {
  readonly wait?: boolean
  readonly json?: boolean
}): Promise<number> {
  let report = askAgent("rotate") as RotationReport
  const { generation } = report
  if (options.wait === true) {
    const end = performance.now() + PATIENCE_MS
    while (!report.settled) {
      if (performance.now() > end) {
        throw new LariatError(
          `Cannot finish the rotation to generation ${generation} within ${PATIENCE_MS / 1000} s: ${waitingText(report)}`,
          { code: "busy", hint: "peers that do not answer keep the old keys; see lariat peers" },
        )
      }
      await new Promise((resolve) => setTimeout(resolve, POLL_MS))
      report = askAgent("rotation") as RotationReport
    }
  }
  return show(report, options, renderRotation)
}

/** The report for people. */
export function renderRotation(report: RotationReport): string {
  const { generation, settled } = report
  return settled
    ? `generation ${generation} of the keys is in use everywhere`
    : `generation ${generation} of the keys is on its way; ${waitingText(report)}`
}

function waitingText({ waitingFor }: RotationReport): string {
  if (waitingFor.length === 0) return "every peer has it, the old keys are still kept for a while"
  return `not acknowledged yet by ${waitingFor.join(", ")}`
}

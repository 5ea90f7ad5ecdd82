import type { ClusterReport } from "../agent/cluster/report.ts"
import { askAgent } from "../agent/control/control_client.ts"
import type {
  CallReport,
  DnsReport,
  DropReport,
  LimitReport,
  StatusReport,
} from "../agent/report.ts"
import { table } from "../table.ts"

/** How often `--watch` asks again, milliseconds. */
const WATCH_MS = 1000

/** `lariat status`: networks, addresses used and free, endpoints, what is wrong. */
export async function status(options: {
  readonly json?: boolean
  readonly watch?: boolean
}): Promise<number> {
  for (;;) {
    const report = askAgent("status") as StatusReport
    const text = options.json === true ? JSON.stringify(report) : renderStatus(report)
    if (options.watch !== true) {
      console.log(text)
      return 0
    }
    console.log(options.json === true ? text : `\u001b[H\u001b[2J${text}`)
    await new Promise((resolve) => setTimeout(resolve, WATCH_MS))
  }
}

/** The report for people. */
export function renderStatus(report: StatusReport): string {
  const { agent, host } = report
  const lines = [
    `lariat ${agent.version} (${agent.runtime}), pid ${agent.pid}, up ${duration(agent.uptimeSeconds)}, ${Math.round(agent.rssBytes / 1_048_576)} MB`,
    `host ${host.name}${host.ip === null ? "" : ` at ${host.ip}`}`,
    ...(report.cluster === null ? [] : clusterLines(report.cluster)),
    "",
  ]
  if (report.networks.length === 0) lines.push("no networks: give the agent a --config FILE")
  else {
    lines.push(
      table(
        [
          ["NETWORK", "DRIVER", "SUBNET", "GATEWAY", "USED", "QUARANTINED", "FREE"],
          ...report.networks.flatMap((network) =>
            network.subnets.map((subnet, index) => [
              index === 0 ? network.name : "",
              index === 0 ? network.driver : "",
              subnet.cidr,
              subnet.gateway,
              String(subnet.used),
              String(subnet.quarantined),
              String(subnet.free),
            ]),
          ),
        ],
        { right: [4, 5, 6] },
      ),
    )
  }
  for (const { name, why } of report.foreign) lines.push(`not on this host: ${name} ${why}`)
  const { attached, attaching, detaching } = report.endpoints
  lines.push("", `endpoints: ${attached} attached, ${attaching} attaching, ${detaching} detaching`)
  if (report.calls.length > 0) lines.push(`calls: ${report.calls.map(callText).join(", ")}`)
  if (report.dns !== null) lines.push(dnsText(report.dns))
  const over = report.limits.filter(({ dropped }) => dropped > 0)
  if (over.length > 0) lines.push(`dropped: ${over.map(limitText).join(", ")}`)
  const forged = Object.entries(report.antiSpoofing.dropped).filter(([, frames]) => frames > 0)
  if (forged.length > 0) lines.push(`forged frames dropped: ${forged.map(forgedText).join(", ")}`)
  const kept = report.guards.filter(({ dropped }) => dropped > 0)
  if (kept.length > 0) lines.push(`kept out: ${kept.map(guardText).join(", ")}`)
  for (const problem of report.problems) {
    lines.push(`${problem.severity}: ${problem.what}`)
    if (problem.hint !== undefined) lines.push(`  ${problem.hint}`)
  }
  if (report.problems.length === 0) lines.push("nothing is wrong")
  for (const repair of report.repairs.slice(-5)) lines.push(`mended ${repair.at}: ${repair.what}`)
  return lines.join("\n")
}

function clusterLines({ name, store, hosts, peers, rotation }: ClusterReport): string[] {
  const answer = store.reachable
    ? "answers"
    : `does not answer: ${store.reason ?? "no reason known"}`
  const states = `${peers.up} up, ${peers.degraded} degraded, ${peers.down} down`
  const lines = [
    `cluster ${name}: ${hosts} ${hosts === 1 ? "host" : "hosts"}, peers ${states}`,
    `${store.kind} at ${store.endpoint} ${answer}`,
  ]
  if (rotation === null) return lines
  const waiting =
    rotation.waitingFor.length === 0 ? "" : `, ${rotation.waitingFor.join(", ")} to follow`
  const settled = rotation.settled ? "in use everywhere" : `on their way${waiting}`
  return [...lines, `keys of generation ${rotation.generation} ${settled}`]
}

function duration(seconds: number): string {
  if (seconds < 60) return `${seconds} s`
  if (seconds < 3600) return `${Math.floor(seconds / 60)} min`
  if (seconds < 86_400) return `${Math.floor(seconds / 3600)} h`
  return `${Math.floor(seconds / 86_400)} d`
}

/** `132 ADD (1.8 ms, nine of ten within 2.4 ms)` */
function callText({ command, count, medianMs, p90Ms }: CallReport): string {
  return `${count} ${command} (${medianMs.toFixed(1)} ms, nine of ten within ${p90Ms.toFixed(1)} ms)`
}

/** `dns: 12 names, 840 queries, 90 answered from cache, 2 failed; upstream 192.0.2.53` */
function dnsText({ listening, names, queries, cached, failed, servers }: DnsReport): string {
  if (!listening) return "dns: not served"
  const upstream = servers.length > 0 ? `upstream ${servers.join(", ")}` : "no upstream"
  const asked = `${queries} ${queries === 1 ? "query" : "queries"}`
  return `dns: ${names} names, ${asked}, ${cached} answered from cache, ${failed} failed; ${upstream}`
}

/** `3 packets of tunnelsOfContainers` */
function guardText({ name, dropped }: DropReport): string {
  return `${dropped} ${dropped === 1 ? "packet" : "packets"} of ${name}`
}

/** `41 packets over queriesPerSecond 10000` */
function limitText({ name, limit, dropped }: LimitReport): string {
  return `${dropped} ${dropped === 1 ? "packet" : "packets"} over ${name} ${limit}`
}

function forgedText([what, frames]: readonly [string, number]): string {
  return `${frames} by ${what}`
}

/** Asks a DNS server from inside a container's namespace, with nothing but bash. */
import { decode, encode, type Packet } from "dns-packet"
import { inNetns } from "./lab.ts"

/** Where the agent serves DNS. */
export const DNS_SERVER = "169.254.169.250"

/** What {@link askFrom} may be told. */
export interface AskOptions {
  /** Default A. */
  readonly type?: string
  /** Default UDP. */
  readonly tcp?: boolean
  /** How long an answer is waited for, seconds. Default 5. */
  readonly waitSeconds?: number
}

/**
 * One query from a namespace.
 *
 * @returns undefined when nothing came
 */
export async function askFrom(
  netns: string,
  name: string,
  options: AskOptions = {},
): Promise<Packet | undefined> {
  const { type = "A", tcp = false, waitSeconds = 5 } = options
  const query = encode({ type: "query", id: 9, flags: 0x0100, questions: [{ name, type }] })
  const bytes = tcp ? [query.length >> 8, query.length & 255, ...query] : [...query]
  const escaped = bytes.map((byte) => `\\x${byte.toString(16).padStart(2, "0")}`).join("")
  // One read of a datagram socket gives one datagram, and one of a stream what has come of a short
  // answer.
  const script = `exec 3<>/dev/${tcp ? "tcp" : "udp"}/${DNS_SERVER}/53 && printf '${escaped}' >&3 &&
    timeout ${waitSeconds} dd bs=4096 count=1 status=none <&3 | base64 -w0`
  const { stdout } = await inNetns(netns, "timeout", "15", "bash", "-c", script)
  const answer = Buffer.from(stdout, "base64").subarray(tcp ? 2 : 0)
  return answer.length === 0 ? undefined : decode(answer)
}

/** The data of the answers, in an order of its own. */
export function dataOf(packet: Packet | undefined): unknown[] {
  return (packet?.answers ?? []).map((answer) => answer.data).sort()
}

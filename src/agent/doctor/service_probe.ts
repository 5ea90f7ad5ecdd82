/** Asking the servers that containers ask for what they must know. */

import { familyOf } from "../../core/address.ts"
import { encodeName } from "../../dns/name.ts"
import { METADATA_NAME } from "../../dns/names.ts"
import { DNS_PORT, type ServerAddress } from "../../dns/resolv_conf.ts"
import {
  CLASS_IN,
  FLAG_RD,
  HEADER_BYTES,
  MASK_RCODE,
  OFFSET_ANCOUNT,
  OFFSET_FLAGS,
  OFFSET_QDCOUNT,
  RCODE_NOERROR,
  RCODE_REFUSED,
  RCODE_SERVFAIL,
  read16,
  TYPE_A,
  TYPE_NS,
  write16,
} from "../../dns/wire.ts"
import { messageOf } from "../../errors.ts"
import { askTcp } from "../../sys/net/tcp_server.ts"
import { connectUdp } from "../../sys/net/udp.ts"
import type { StatusReport } from "../report.ts"
import { isWildcard, listenAddress } from "../services/service_address.ts"
import type { ViewedServer, ViewedServices } from "./host_view.ts"

/** How long an answer is waited for, milliseconds; a resolver that is well takes less. */
const WAIT_MS = 3000
/** A datagram that was lost is sent again, milliseconds. */
const RESEND_MS = 1000
/** Every server of any name has an answer to this, and it tells nobody anything: the root. */
const ROOT = new Uint8Array(0)
const HTTP_PORT = 80
const METADATA_PATH = "/latest/version"
/** `HTTP/1.1 200` */
const STATUS_LINE_BYTES = 12
const MAX_HEAD_BYTES = 16_384

/** How the servers are reached. */
export interface ServiceSockets {
  /** Sends a query, and gives the answer of that id. @throws Error when none comes */
  readonly askDns: (server: ServerAddress, query: Uint8Array) => Promise<Uint8Array>
  /** The status of the answer to a GET of a path. @throws Error when none comes */
  readonly askHttp: (server: ServerAddress, path: string) => Promise<number>
}

/** Asks the agent's servers, and each of the host's nameservers, all at once. */
export async function probeServices(
  { dns, metadata }: Pick<StatusReport, "dns"> & Partial<Pick<StatusReport, "metadata">>,
  hostServers: readonly ServerAddress[],
  { askDns, askHttp }: ServiceSockets = { askDns: askOverUdp, askHttp: statusOf },
): Promise<ViewedServices> {
  const http = metadata === undefined ? undefined : reachable(metadata.listen)
  const own = dns === null ? undefined : reachable(dns.listen)
  // What names this server itself is not asked: it would ask itself.
  const others = hostServers.filter(({ address }) => address !== own?.address)
  const [served, upstreams, api] = await Promise.all([
    own === undefined ? null : probe(own, DNS_PORT, () => askOwn(own)),
    Promise.all(others.map((server) => probe(server, DNS_PORT, () => askOther(server)))),
    http === undefined ? undefined : probe(http, HTTP_PORT, () => askMetadata(http)),
  ])
  return { dns: served, upstreams, metadata: api }

  async function askOwn(server: ServerAddress): Promise<string | undefined> {
    const answer = await askDns(server, queryFor(encodeName(METADATA_NAME) ?? ROOT, TYPE_A))
    const rcode = read16(answer, OFFSET_FLAGS) & MASK_RCODE
    if (rcode === RCODE_NOERROR && read16(answer, OFFSET_ANCOUNT) > 0) return undefined
    return `it has no address for ${METADATA_NAME}: ${rcodeText(rcode)}`
  }

  async function askOther(server: ServerAddress): Promise<string | undefined> {
    const answer = await askDns(server, queryFor(ROOT, TYPE_NS))
    const rcode = read16(answer, OFFSET_FLAGS) & MASK_RCODE
    const isUseless = rcode === RCODE_SERVFAIL || rcode === RCODE_REFUSED
    return isUseless ? `it answers ${rcodeText(rcode)}` : undefined
  }

  async function askMetadata(server: ServerAddress): Promise<string | undefined> {
    const status = await askHttp(server, METADATA_PATH)
    return status === 200 ? undefined : `it answers with status ${status}`
  }
}

/** @param ask gives what is wrong with the answer */
async function probe(
  { address, port }: ServerAddress,
  usualPort: number,
  ask: () => Promise<string | undefined>,
): Promise<ViewedServer> {
  const at = port === usualPort ? address : `${address} port ${port}`
  try {
    const fault = await ask()
    return fault === undefined ? { at, state: "ok" } : { at, state: "wrong", fault }
  } catch (error) {
    return { at, state: "silent", fault: messageOf(error) }
  }
}

/** Where a server is asked that listens there: on all addresses is on this one too. */
function reachable(listen: string): ServerAddress {
  const { hostname, port } = listenAddress(listen)
  if (!isWildcard(hostname)) return { address: hostname, port }
  return { address: familyOf(hostname) === 6 ? "::1" : "127.0.0.1", port }
}

/** A query (RFC 1035 §4.1) with an id by chance. @param name labels without the root's zero */
export function queryFor(name: Uint8Array, type: number): Uint8Array {
  const end = HEADER_BYTES + name.length + 1
  const query = new Uint8Array(end + 4)
  query.set(crypto.getRandomValues(new Uint8Array(2)))
  write16(query, OFFSET_FLAGS, FLAG_RD)
  write16(query, OFFSET_QDCOUNT, 1)
  query.set(name, HEADER_BYTES)
  write16(query, end, type)
  write16(query, end + 2, CLASS_IN)
  return query
}

function rcodeText(rcode: number): string {
  const names = ["NOERROR", "FORMERR", "SERVFAIL", "NXDOMAIN", "NOTIMP", "REFUSED"]
  return names[rcode] ?? `code ${rcode}`
}

async function askOverUdp(server: ServerAddress, query: Uint8Array): Promise<Uint8Array> {
  const { promise, resolve, reject } = Promise.withResolvers<Uint8Array>()
  const onMessage = (bytes: Uint8Array): void => {
    if (bytes.length >= HEADER_BYTES && read16(bytes, 0) === read16(query, 0)) resolve(bytes)
  }
  const onError = (): void => reject(new Error("nothing listens there, or no way leads there"))
  const socket = await connectUdp(server, onMessage, onError)
  const resend = setTimeout(() => socket.send(query), RESEND_MS)
  const giveUp = setTimeout(
    () => reject(new Error(`no answer within ${WAIT_MS / 1000} s`)),
    WAIT_MS,
  )
  try {
    socket.send(query)
    return await promise
  } finally {
    clearTimeout(resend)
    clearTimeout(giveUp)
    socket.close()
  }
}

/** Not by fetch, which may be told to ask a proxy. */
async function statusOf(server: ServerAddress, path: string): Promise<number> {
  const request = `GET ${path} HTTP/1.1\r\nHost: ${server.address}\r\nConnection: close\r\n\r\n`
  const options = { signal: AbortSignal.timeout(WAIT_MS), maxBytes: MAX_HEAD_BYTES }
  const isEnough = (bytes: Uint8Array) => bytes.length >= STATUS_LINE_BYTES
  const answer = await askTcp(server, new TextEncoder().encode(request), isEnough, options)
  const status = /^HTTP\/1\.[01] (\d{3})/.exec(new TextDecoder().decode(answer))?.[1]
  if (status === undefined) throw new Error("what answers there does not speak HTTP")
  return Number(status)
}

import { randomFillSync } from "node:crypto"
import { unwatchFile, watchFile } from "node:fs"
import { networkInterfaces } from "node:os"
import { listenAddress } from "../agent/metadata_server.ts"
import { type Prefix, parseAddress, parsePrefix, prefixContains } from "../core/address.ts"
import { parseResolvConf, type ServerAddress } from "../dns/resolv_conf.ts"
import { DnsServer } from "../dns/server.ts"
import { framed } from "../dns/tcp_session.ts"
import type { Timers, UpstreamSockets } from "../dns/upstream.ts"
import { messageOf } from "../errors.ts"
import { Model } from "../metadata/model.ts"
import { loadObjects, parseObjectsFile } from "../metadata/objects_file.ts"
import { askTcp, listenTcp } from "../sys/tcp_server.ts"
import { bindUdp, connectUdp } from "../sys/udp.ts"
import { sheddingOf } from "../sys/udp_shedding.ts"
import { readText } from "./validate.ts"

/** The options of `lariat dns serve`. */
export interface DnsServeOptions {
  readonly objects: string
  readonly listen: string
  /** Where the nameservers for everything else are found. */
  readonly resolvConf: string
}

const MAX_MESSAGE_BYTES = 65_535
const WATCH_MS = 1000

/** Time for the DNS server. */
export const timers: Timers = {
  now: () => performance.now(),
  after(ms, action) {
    const timer = setTimeout(action, ms)
    return () => clearTimeout(timer)
  },
}

/** Sockets to other servers. */
export const upstreamSockets: UpstreamSockets = {
  openUdp: connectUdp,
  async askTcp(server, message, signal) {
    const length = (bytes: Uint8Array) => ((bytes[0] ?? 0) << 8) | (bytes[1] ?? 0)
    const isEnough = (bytes: Uint8Array) => bytes.length >= 2 && bytes.length >= 2 + length(bytes)
    const options = { signal, maxBytes: 2 + MAX_MESSAGE_BYTES }
    const answer = await askTcp(server, framed(message), isEnough, options)
    return answer.subarray(2, 2 + length(answer))
  },
}

/** `lariat dns serve`: DNS over a file of objects, until SIGTERM or SIGINT; SIGHUP reads it again. */
export async function dnsServe(options: DnsServeOptions): Promise<number> {
  const { hostname, port } = listenAddress(options.listen)
  let file = parseObjectsFile(options.objects, readText(options.objects))
  const model = new Model()
  loadObjects(model, file)
  let prefixes = bridgePrefixes(model)
  const server = new DnsServer(
    model,
    { timers, random: random32, upstreamSockets, isManaged, isLocal },
    { servers: hostServers(options.resolvConf), neverAsk: [hostname] },
  )

  function isManaged(address: string): boolean {
    if (model.containerAt(address) !== undefined) return true
    try {
      const parsed = parseAddress(address)
      return prefixes.some((prefix) => prefixContains(prefix, parsed))
    } catch {
      return false
    }
  }

  const udp = await bindUdp({ hostname, port }, (bytes, fromPort, address, send) =>
    server.datagram(bytes, fromPort, address, send),
  )
  const shedding = sheddingOf(hostname, udp.port)
  if (shedding !== undefined) server.protect(shedding)
  const tcp = await listenTcp({ hostname, port: udp.port }, (connection) =>
    server.connection(connection),
  )
  model.subscribe(() => {
    prefixes = bridgePrefixes(model)
    server.networksChanged()
  })
  // Polled: a resolv.conf is replaced by renaming, or is a link to one that is.
  watchFile(options.resolvConf, { interval: WATCH_MS, persistent: false }, () =>
    server.setServers(hostServers(options.resolvConf)),
  )
  process.on("SIGHUP", () => {
    try {
      const next = parseObjectsFile(options.objects, readText(options.objects))
      loadObjects(model, next, file)
      file = next
    } catch (error) {
      console.error(`lariat: cannot read again: ${messageOf(error)}`)
    }
  })
  console.log(`dns: ${server.index.size} names on ${options.listen.replace(/:0$/, `:${udp.port}`)}`)
  await new Promise<void>((resolve) => {
    process.once("SIGTERM", resolve)
    process.once("SIGINT", resolve)
  })
  unwatchFile(options.resolvConf)
  tcp.stop()
  udp.close()
  server.close()
  return 0
}

/** The subnets of the networks' bridges. */
function bridgePrefixes(model: Model): readonly Prefix[] {
  return model.networks.flatMap(({ metadata }) => {
    const { cniConfig } = metadata
    if (typeof cniConfig !== "object" || cniConfig === null) return []
    return Object.values(cniConfig).flatMap((conf) => {
      const subnet = (conf as { readonly bridgeSubnet?: unknown } | null)?.bridgeSubnet
      try {
        return typeof subnet === "string" ? [parsePrefix(subnet)] : []
      } catch {
        return []
      }
    })
  })
}

function hostServers(path: string): readonly ServerAddress[] {
  try {
    return parseResolvConf(readText(path))
  } catch (error) {
    console.error(`lariat: only own names are answered: ${messageOf(error)}`)
    return []
  }
}

function isLocal(address: string): boolean {
  if (address.startsWith("127.") || address === "::1") return true
  return Object.values(networkInterfaces()).some((list) =>
    list?.some((one) => one.address === address),
  )
}

const pool = new Uint32Array(1024)
let used = pool.length

/** 32 bits of the kernel's randomness, fetched many at a time. */
export function random32(): number {
  if (used === pool.length) {
    randomFillSync(pool)
    used = 0
  }
  return pool[used++] ?? 0
}

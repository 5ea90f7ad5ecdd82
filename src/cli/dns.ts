import { unwatchFile, watchFile } from "node:fs"
import { isLocal, random32, timers, upstreamSockets } from "../agent/services/dns_environment.ts"
import { listenAddress } from "../agent/services/service_address.ts"
import { type Prefix, parseAddress, parsePrefix, prefixContains } from "../core/address.ts"
import { type HostResolver, NO_RESOLVER, parseResolvConf } from "../dns/resolv_conf.ts"
import { DnsServer } from "../dns/server.ts"
import { messageOf } from "../errors.ts"
import type { Model } from "../metadata/model.ts"
import { listenTcp } from "../sys/net/tcp_server.ts"
import { bindUdp } from "../sys/net/udp.ts"
import { modelOf, until } from "./objects.ts"
import { readText } from "./validate.ts"

/** The options of `lariat dns serve`. */
export interface DnsServeOptions {
  readonly objects: string
  readonly listen: string
  /** Where the nameservers for everything else are found. */
  readonly resolvConf: string
}

const WATCH_MS = 1000

/** `lariat dns serve`: DNS over a file of objects, until SIGTERM or SIGINT; SIGHUP reads it again. */
export async function dnsServe(options: DnsServeOptions): Promise<number> {
  const { hostname, port } = listenAddress(options.listen)
  const model = modelOf(options.objects)
  let prefixes = bridgePrefixes(model)
  const server = new DnsServer(
    model,
    { timers, random: random32, upstreamSockets, isManaged, isLocal },
    { ...hostResolver(options.resolvConf), neverAsk: [hostname] },
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
  const tcp = await listenTcp({ hostname, port: udp.port }, (connection) =>
    server.connection(connection),
  )
  model.subscribe(() => {
    prefixes = bridgePrefixes(model)
    server.networksChanged()
  })
  // Polled: a resolv.conf is replaced by renaming, or is a link to one that is.
  watchFile(options.resolvConf, { interval: WATCH_MS, persistent: false }, () =>
    server.setResolver(hostResolver(options.resolvConf)),
  )
  console.log(`dns: ${server.index.size} names on ${options.listen.replace(/:0$/, `:${udp.port}`)}`)
  await until(["SIGTERM", "SIGINT"])
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

function hostResolver(path: string): HostResolver {
  try {
    return parseResolvConf(readText(path))
  } catch (error) {
    console.error(`lariat: only names of the objects are answered: ${messageOf(error)}`)
    return NO_RESOLVER
  }
}

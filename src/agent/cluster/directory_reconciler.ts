import type { Logger } from "@logtape/logtape"
import type { Directory } from "../../cluster/directory/directory.ts"
import type { DirectoryListener } from "../../cluster/directory/events.ts"
import type { EndpointRecord } from "../../cluster/records/endpoint_record.ts"
import type { Network } from "../../config/network.ts"
import type { AgentContext } from "../context.ts"
import { networkUuid } from "../services/metadata_feed.ts"
import type { EndpointPublisher } from "./endpoint_publisher.ts"
import type { KeyExchange } from "./key_exchange.ts"
import type { Overlays } from "./overlays/overlays.ts"
import type { PeerMonitoring } from "./probes/peer_monitoring.ts"
import type { ClusterState } from "./state/cluster_state.ts"
import type { Encapsulation } from "./transport/encapsulation.ts"

/** What a {@link DirectoryReconciler} joins; what comes up later than the directory is asked for each time. */
export interface DirectoryReconcilerDependencies {
  readonly memory: ClusterState
  readonly overlays: Overlays
  readonly publisher: EndpointPublisher
  readonly log: Logger
  readonly directory: () => Directory
  readonly context: () => AgentContext | undefined
  /** Networks that reach other hosts. */
  readonly networks: () => readonly Network[]
  readonly exchange: () => KeyExchange | undefined
  readonly watching: () => PeerMonitoring | undefined
  readonly encapsulation: () => Encapsulation | undefined
  readonly nameOf: (hostId: string) => string
  /** The store's record of a block that this host holds is not its own any more. */
  readonly onOwnBlock: (network: string, block: string) => void
  /** The store was put back: what is this host's own is to be written again. */
  readonly onPutBack: () => void
}

/** Does what the directory tells: to drivers, keys, probes and the metadata. */
export class DirectoryReconciler implements DirectoryListener {
  readonly #dependencies: DirectoryReconcilerDependencies
  #caughtUp = false

  constructor(dependencies: DirectoryReconcilerDependencies) {
    this.#dependencies = dependencies
  }

  /** Whether every host that the store knows was heard of. */
  get isCaughtUp(): boolean {
    return this.#caughtUp
  }

  hostChanged(hostId: string): void {
    const host = this.#dependencies.directory().host(hostId)
    const context = this.#dependencies.context()
    if (host === undefined || context === undefined) return
    const shared: number[] = []
    for (const { name } of this.#dependencies.networks()) {
      const peer = this.#dependencies.directory().peer(name, hostId)
      const number = this.#dependencies.memory.networkNumber(name)
      if (peer === undefined || number === undefined) {
        this.#dependencies.overlays.removePeer(name, hostId)
        this.#dependencies.encapsulation()?.removePeer(name, hostId)
        this.#dependencies.watching()?.delete({ network: name, hostId })
        continue
      }
      this.#dependencies.encapsulation()?.putPeer(name, peer)
      this.#dependencies.overlays.putPeer(name, peer)
      this.#dependencies.watching()?.set(name, peer)
      if (host.record?.networks[name]?.driver === "ipsec") shared.push(number)
    }
    if (!host.member || host.record === undefined) return
    // Called again when it is settled.
    if (this.#dependencies.encapsulation()?.isSettled(hostId) !== false) {
      this.#dependencies.exchange()?.putPeer(hostId, host.number, shared)
    }
    const { name, underlay, labels } = host.record
    context.metadata.host({ uuid: hostId, name, ip: underlay[0], labels })
    for (const [place, record] of host.endpoints) this.#feed(hostId, networkOf(place), record)
  }

  /** A network was taken away: nobody is a peer in it any more. */
  networkGone(network: string): void {
    for (const { hostId } of this.#dependencies.directory().hosts()) {
      this.#dependencies.encapsulation()?.removePeer(network, hostId)
      this.#dependencies.watching()?.delete({ network, hostId })
    }
  }

  hostGone(hostId: string): void {
    this.#dependencies.log.info("host {name} is off the mesh", {
      name: this.#dependencies.nameOf(hostId),
    })
    for (const { name } of this.#dependencies.networks()) {
      this.#dependencies.overlays.removePeer(name, hostId)
      this.#dependencies.encapsulation()?.removePeer(name, hostId)
      this.#dependencies.watching()?.delete({ network: name, hostId })
    }
    this.#dependencies.exchange()?.removePeer(hostId)
    this.#dependencies.context()?.metadata.removeHost(hostId)
    for (const [place, record] of this.#dependencies.directory().host(hostId)?.endpoints ?? []) {
      this.endpointRemoved(networkOf(place), hostId, record)
    }
  }

  endpointPut(network: string, hostId: string, record: EndpointRecord): void {
    if (this.#dependencies.directory().host(hostId)?.member === true)
      this.#feed(hostId, network, record)
  }

  endpointRemoved(network: string, hostId: string, record: EndpointRecord): void {
    const key = endpointKey(hostId, network, record)
    this.#dependencies.context()?.metadata.removeForeignEndpoint(key)
  }

  keysAnnounced(hostId: string, body: unknown, revision: number): void {
    try {
      this.#dependencies.exchange()?.announced(hostId, body, revision)
    } catch (error) {
      this.#dependencies.exchange()?.refused(hostId)
      throw error
    }
  }

  keysAcknowledged(hostId: string, body: unknown, revision: number): void {
    this.#dependencies.exchange()?.acknowledged(hostId, body, revision)
  }

  keysRefused(hostId: string): void {
    this.#dependencies.exchange()?.refused(hostId)
  }

  ownEndpoint(key: string): void {
    this.#dependencies.publisher.found(key)
  }

  ownBlock(network: string, block: string): void {
    this.#dependencies.onOwnBlock(network, block)
  }

  caughtUp(revision: number): void {
    this.#dependencies.exchange()?.heard(revision)
    if (this.#caughtUp) return
    this.#caughtUp = true
    for (const { network } of this.#dependencies.overlays.all())
      this.#dependencies.overlays.completed(network)
    this.#dependencies.context()?.firewall.settled()
  }

  putBack(revision: number): void {
    this.#dependencies.log.warn("the store was put back to an older state (revision {revision})", {
      revision,
    })
    this.#dependencies.exchange()?.restored()
    this.#dependencies.publisher.again()
    this.#dependencies.onPutBack()
  }

  #feed(hostId: string, network: string, record: EndpointRecord): void {
    const configured = this.#dependencies.context()?.networks.get(network)?.configured
    const key = endpointKey(hostId, network, record)
    this.#dependencies.context()?.metadata.foreignEndpoint(key, {
      uuid: record.uuid,
      name: record.name,
      externalId: record.containerId,
      labels: record.labels,
      addresses: record.addresses,
      mac: record.mac,
      hostUuid: hostId,
      hostIp: this.#dependencies.directory().host(hostId)?.record?.underlay[0],
      networkUuid: networkUuid(network),
      createIndex: record.createIndex,
      dns: configured?.dns ?? [],
      dnsSearch: configured?.dnsSearch ?? [],
    })
  }
}

/** The network of a place: a network and an address, apart by the last blank. */
function networkOf(place: string): string {
  return place.slice(0, place.lastIndexOf(" "))
}

function endpointKey(hostId: string, network: string, record: EndpointRecord): string {
  return `${hostId} ${network} ${record.uuid} ${record.createIndex}`
}

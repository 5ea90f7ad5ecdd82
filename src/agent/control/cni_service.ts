import { CniError, errorResponse, NOT_AVAILABLE } from "../../cni/error.ts"
import type { CniResponse } from "../../cni/protocol.ts"
import { answerVersion, type CheckedRequest, readRequest } from "../../cni/request.ts"
import type { AttachDns, AttachResult } from "../../cni/result.ts"
import { formatResult } from "../../cni/result_format.ts"
import { mergeResults } from "../../cni/result_merge.ts"
import { parseResult } from "../../cni/result_parse.ts"
import type { CniCommand } from "../../cni/version.ts"
import type { Problem } from "../../config/diagnostic.ts"
import { parseCniArgs } from "../../config/netconf/cni_args.ts"
import { isOurIpam, type Netconf } from "../../config/netconf/netconf.ts"
import { type ParsedNetconf, parseNetconf } from "../../config/netconf/parse.ts"
import type { Network } from "../../config/network.ts"
import { LariatError, runAllInTurn } from "../../errors.ts"
import type { Caller } from "../caller.ts"
import type { AgentContext } from "../context.ts"
import { attach } from "../endpoints/attach.ts"
import { type AttachDnsInput, attachDns } from "../endpoints/attach_dns.ts"
import { detach, detachOnceAttached, takeBack } from "../endpoints/detach.ts"
import { attachRequest, endpointNames, requestedAddresses } from "../endpoints/netconf_request.ts"
import { reserve } from "../endpoints/reserve.ts"
import { verify } from "../endpoints/verify.ts"
import type { EndpointKey } from "../networks/attach_request.ts"
import { hostAddresses } from "../services/service_address.ts"
import { outerFamily } from "../state/identity.ts"

/** One CNI call, read. */
interface Call {
  readonly request: CheckedRequest
  readonly conf: Netconf
  readonly args: Readonly<Record<string, string>>
  readonly key: EndpointKey
  readonly caller: Caller
}

/** The CNI commands, as the agent serves them. */
export class CniService {
  readonly #context: AgentContext
  readonly #verbs: Readonly<
    Partial<Record<CniCommand, (call: Call) => Promise<object | undefined>>>
  >

  constructor(context: AgentContext) {
    this.#context = context
    this.#verbs = {
      ADD: (call) => this.#add(call),
      DEL: (call) => this.#del(call),
      CHECK: (call) => this.#check(call),
      GC: (call) => this.#gc(call),
      STATUS: (call) => this.#status(call),
    }
  }

  /** Serves one call; every failure becomes CNI's error JSON, nothing is thrown. */
  async handle(value: unknown, caller: Caller): Promise<CniResponse> {
    const started = performance.now()
    try {
      const call = readCall(readRequest(value), caller)
      const verb = this.#verbs[call.request.env.command]
      const answer = await verb?.(call)
      const stdout = answer === undefined ? "" : `${JSON.stringify(answer)}\n`
      this.#context.timings.note(call.request.env.command, performance.now() - started)
      return { exit: 0, stdout, stderr: "" }
    } catch (error) {
      const response = errorResponse(answerVersion(value), error)
      this.#context.log.warn("{why}", { why: response.stderr.trim() })
      return response
    }
  }

  async #add(call: Call): Promise<object> {
    const answer = await this.#attach(call)
    const row = this.#context.index.get(call.key)
    if (row !== undefined) call.caller.ifLost(() => takeBack(this.#context, row))
    return answer
  }

  async #attach(call: Call): Promise<object> {
    const { conf, request, caller } = call
    const { version } = request
    if (request.role === "ipam") {
      const pool = this.#context.networks.forNetconf(conf)
      const result = await reserve(
        this.#context,
        {
          ...call.key,
          pool,
          netnsPath: request.env.netns,
          requested: requestedAddresses(conf, call.args),
          prefixLength: conf.ipam?.subnetPrefixSize,
          routes: conf.ipam?.routes ?? [],
          names: endpointNames(conf, call.args),
        },
        caller,
      )
      // The plugin that asks puts the gateway on its bridge later.
      const isOurs = () => true
      const dns = this.#dns(conf, pool.configured, { routes: result.routes, isOurs })
      return formatResult({ ...result, dns }, version, { ipam: true })
    }
    this.#context.networks.refuseForeign(conf.name)
    const delegated = delegatedResult(call)
    // Before anything is made: a result that cannot be read must not cost a half-told attach.
    const previous = previousResult(call)
    const pool = isOurIpam(conf) ? this.#context.networks.forNetconf(conf) : undefined
    const input = {
      conf,
      env: request.env,
      args: call.args,
      pool,
      delegated,
      underlay: this.#context.underlay.mtu,
      outerFamily: outerFamily(this.#context.host.ip),
    }
    const result = await attach(this.#context, attachRequest(input), caller)
    const network = pool ?? this.#context.networks.get(conf.name)
    const routes = [...result.routes, ...(previous?.routes ?? [])]
    const dns = this.#dns(conf, network?.configured, { delegated: delegated?.dns, routes })
    const own = { ...result, dns }
    return formatResult(previous === undefined ? own : mergeResults(previous, own), version)
  }

  #dns(
    conf: Netconf,
    network: Network | undefined,
    said: Pick<AttachDnsInput, "delegated" | "routes"> & Partial<Pick<AttachDnsInput, "isOurs">>,
  ): AttachDns {
    const labels = conf.runtimeConfig.labels ?? {}
    const served = this.#context.dns.nameserver
    const isOurs = (address: string) =>
      this.#context.bridges.has(conf.bridge, address) || hostAddresses().includes(address)
    return attachDns({ conf, network, labels, served, isOurs, ...said })
  }

  async #del(call: Call): Promise<undefined> {
    await detachOnceAttached(this.#context, call.key)
  }

  async #check(call: Call): Promise<undefined> {
    const { conf, request } = call
    const expected = parseResult(conf.prevResult, "prevResult", call.request.version)
    const differences = verify(this.#context, call.key, {
      netnsPath: request.env.netns,
      addresses: expected.ips.map((ip) => ip.address),
    })
    differences.push(...unserved(conf))
    if (differences.length === 0) return
    throw new LariatError(
      `Cannot confirm ${call.key.containerId}/${call.key.ifname} of network ${conf.name}: ${differences.join("; ")}`,
      { code: "check-failed", hint: "detach the container and attach it again" },
    )
  }

  async #gc(call: Call): Promise<undefined> {
    const { conf } = call
    if (conf.validAttachments === undefined) {
      throw new LariatError(
        `Cannot collect garbage of network ${conf.name}: cni.dev/valid-attachments is missing`,
        {
          code: "config-invalid",
          hint: "the runtime must list the valid attachments; an empty list frees everything",
        },
      )
    }
    const valid = new Set(conf.validAttachments.map((one) => `${one.containerID}/${one.ifname}`))
    const rows = this.#context.stateDatabase
      .endpoints(conf.name)
      .filter((row) => !valid.has(`${row.containerId}/${row.ifname}`))
    await runAllInTurn(
      `garbage collection of ${conf.name}`,
      rows.map((row) => () => detach(this.#context, row)),
    )
  }

  async #status(call: Call): Promise<undefined> {
    const { conf } = call
    this.#context.networks.refuseForeign(conf.name)
    if (!isOurIpam(conf) && call.request.role === "bridge") return
    const { allocator } = this.#context.networks.forNetconf(conf)
    for (const family of allocator.families) {
      const stats = allocator.stats().filter((stat) => stat.family === family)
      if (stats.some((stat) => stat.free + stat.quarantined > 0)) continue
      throw new CniError(
        `Cannot serve ADD for network ${conf.name}: no IPv${family} address is left`,
        {
          code: "pool-exhausted",
          cniCode: NOT_AVAILABLE,
          hint: "remove containers that are not needed, or add a subnet",
        },
      )
    }
  }
}

/**
 * Configurations read lately, by their text: a runtime sends the same one for each of its
 * containers, and reading one costs as much as a row of the state database.
 */
const parsed = new Map<string, ParsedNetconf>()
const MAX_PARSED = 64

function readNetconf(config: CheckedRequest["config"]): ParsedNetconf {
  const text = JSON.stringify(config)
  const known = parsed.get(text)
  if (known !== undefined) return known
  const fresh = parseNetconf(config)
  for (const oldest of parsed.keys()) {
    if (parsed.size < MAX_PARSED) break
    parsed.delete(oldest)
  }
  parsed.set(text, fresh)
  return fresh
}

function readCall(request: CheckedRequest, caller: Caller): Call {
  const { conf, problems } = readNetconf(request.config)
  const errors = problems.filter((problem) => problem.severity === "error")
  if (conf === undefined || errors.length > 0)
    throw netconfError(String(request.config.name), errors)
  const cniArgs = parseCniArgs(request.env.args)
  const wrong = cniArgs.problems.filter((problem) => problem.severity === "error")
  // DEL must get through whatever the arguments say: they are not needed to find the endpoint.
  if (wrong.length > 0 && request.env.command === "ADD") {
    throw new LariatError(`Cannot use CNI_ARGS: ${wrong.map(problemText).join("; ")}`, {
      code: "environment",
      hint: "add IgnoreUnknown=1 to let unknown arguments pass",
    })
  }
  const { containerId, ifname } = request.env
  return {
    request,
    conf,
    args: cniArgs.args,
    key: { network: conf.name, containerId, ifname },
    caller,
  }
}

function netconfError(name: string, problems: readonly Problem[]): LariatError {
  return new LariatError(
    `Cannot use the configuration of network ${name}: ${problems.map(problemText).join("; ")}`,
    {
      code: "config-invalid",
      hint:
        problems.find((problem) => problem.hint !== undefined)?.hint ??
        "see the README's table of keys",
    },
  )
}

function problemText({ path, message }: Problem): string {
  return path.length === 0 ? message : `${path.join(".")} ${message}`
}

/** Whether the agent itself gives the addresses. */
function delegatedResult(call: Call): AttachResult | undefined {
  const { ipamResult } = call.request
  if (isOurIpam(call.conf)) return undefined
  const result = parseResult(
    ipamResult ?? {},
    `the result of ${call.conf.ipam?.type}`,
    call.request.version,
  )
  if (result.ips.length > 0) return result
  throw new LariatError(
    `Cannot attach to network ${call.conf.name}: ${call.conf.ipam?.type} gave no address`,
    { code: "delegate-failed", hint: "look into the configuration of that IPAM plugin" },
  )
}

/** The result of the plugins before this one in a chain. */
function previousResult({ conf, request }: Call): AttachResult | undefined {
  if (conf.prevResult === undefined) return undefined
  return parseResult(conf.prevResult, "prevResult", request.version)
}

/** What was asked for by capability and is kept, but not served by this version. */
function unserved(conf: Netconf): string[] {
  const { portMappings, bandwidth } = conf.runtimeConfig
  const missing: string[] = []
  if (portMappings.length > 0) missing.push("host ports are not published yet")
  if (bandwidth !== undefined) missing.push("bandwidth is not shaped yet")
  return missing
}

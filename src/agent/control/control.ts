import type { ControlResponse } from "../../cni/protocol.ts"
import { LariatError, messageOf } from "../../errors.ts"
import { runtimeName } from "../../sys/ffi/runtime.ts"
import { BUILD, VERSION } from "../../version.ts"
import type { Caller } from "../caller.ts"
import type { ClusterPart } from "../cluster/cluster_part.ts"
import type { AgentContext } from "../context.ts"
import type { CniService } from "./cni_service.ts"
import { endpointReports, statusReport } from "./status.ts"

/** What the control socket answers beside CNI calls. */
const OPERATIONS: Readonly<Record<string, (context: AgentContext) => unknown>> = {
  status: statusReport,
  endpoints: endpointReports,
  peers: ({ cluster }) => cluster?.peers() ?? [],
  blocks: ({ cluster }) => cluster?.blocks() ?? [],
  rotate: (context) => clusterOf(context).rotate(),
  rotation: (context) => clusterOf(context).rotation(),
  version: () => ({ version: VERSION, build: BUILD, runtime: runtimeName() }),
}

/** Characters of an unknown operation in the answer. */
const MOST_SHOWN = 64

/**
 * Answers one request of the control socket: a plugin's call, or a command's question. Never
 * throws: whatever is wrong with the request is in the answer.
 */
export async function answerRequest(
  context: AgentContext,
  service: CniService,
  request: unknown,
  caller: Caller,
): Promise<unknown> {
  const op =
    typeof request === "object" && request !== null && "op" in request ? request.op : undefined
  if (op === "cni") return await service.handle(request, caller)
  try {
    return { ok: true, value: operation(op)(context) } satisfies ControlResponse
  } catch (error) {
    const { code, hint } =
      error instanceof LariatError ? error : ({ code: "internal", hint: undefined } as const)
    const refusal = { ok: false, code, message: messageOf(error) } as const
    return (hint === undefined ? refusal : { ...refusal, hint }) satisfies ControlResponse
  }
}

/** @throws LariatError `config-invalid` for a host alone */
function clusterOf({ cluster }: AgentContext): ClusterPart {
  if (cluster !== undefined) return cluster
  throw new LariatError("Cannot speak of keys: this host is in no cluster", {
    code: "config-invalid",
    hint: "set agent.store to the URL of an etcd; see lariat status",
  })
}

function operation(op: unknown): (context: AgentContext) => unknown {
  if (typeof op === "string" && Object.hasOwn(OPERATIONS, op)) {
    const found = OPERATIONS[op]
    if (found !== undefined) return found
  }
  throw new LariatError(
    `Cannot do ${JSON.stringify(op)?.slice(0, MOST_SHOWN) ?? "nothing"}: this agent knows cni, ${Object.keys(OPERATIONS).join(", ")}`,
    { code: "decode", hint: "are agent and command of the same version? see lariat version" },
  )
}

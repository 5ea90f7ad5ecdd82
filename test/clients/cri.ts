/** Pods of containerd through its CRI, as a kubelet starts them. */
import { join } from "node:path"
import { credentials, loadPackageDefinition, Metadata, type ServiceError } from "@grpc/grpc-js"
import { loadSync } from "@grpc/proto-loader"
import { startContainerd } from "./containerd.ts"
import { IMAGE } from "./image.ts"
import { waitFor } from "./program.ts"
import type { Dependencies, Runtime } from "./runtime.ts"

const PROTO = join(import.meta.dirname, "../fixtures/cri.proto")
const CALL_TIMEOUT_MS = 30_000

type Message = Readonly<Record<string, unknown>>
type Call = (method: string, request: Message) => Promise<Message>

/** Starts a containerd whose pods are run through the CRI. */
export async function setUpCri(surroundings: Dependencies): Promise<Runtime> {
  const containerd = await startContainerd(surroundings)
  const { call, close } = connect(containerd.socket)
  await waitFor("the CRI to find its network", async () => {
    const { status } = (await call("Status", {})) as {
      status: { conditions: { type: string; status: boolean }[] }
    }
    return status.conditions.every((condition) => condition.status) ? true : undefined
  })
  return {
    start: (name) => startPod(call, name),
    async startBroken(name) {
      const pod = await startSandbox(call, podConfig(name))
      try {
        await startContainer(call, pod, podConfig(name), ["/bin/nothing"])
      } catch {
        return
      } finally {
        await removeSandbox(call, pod)
      }
      throw new Error("the CRI reported no failure")
    },
    knownAs: (name) => name,
    async stop() {
      close()
      await containerd.stop()
    },
  }
}

function connect(socket: string): { call: Call; close: () => void } {
  const definition = loadSync(PROTO, { keepCase: true, longs: String, defaults: true })
  const loaded = loadPackageDefinition(definition) as unknown as {
    runtime: { v1: { RuntimeService: RuntimeServiceClient } }
  }
  const client = new loaded.runtime.v1.RuntimeService(
    `unix://${socket}`,
    credentials.createInsecure(),
  )
  const call: Call = (method, request) =>
    new Promise((resolve, reject) => {
      const options = { deadline: Date.now() + CALL_TIMEOUT_MS }
      client[method]?.(request, new Metadata(), options, (error, response) => {
        if (error === null) resolve(response)
        else reject(new Error(`Cannot call ${method}: ${error.message}`, { cause: error }))
      })
    })
  return { call, close: () => (client as unknown as { close(): void }).close() }
}

interface RuntimeServiceClient {
  new (
    target: string,
    credentials: unknown,
  ): Readonly<
    Record<
      string,
      (
        request: Message,
        metadata: Metadata,
        options: { deadline: number },
        callback: (error: ServiceError | null, response: Message) => void,
      ) => void
    >
  >
}

function podConfig(name: string): Message {
  return {
    metadata: { name, uid: `uid-${name}`, namespace: "default", attempt: 0 },
    hostname: name,
    linux: {},
  }
}

async function startPod(call: Call, name: string) {
  const config = podConfig(name)
  const pod = await startSandbox(call, config)
  const container = await startContainer(call, pod, config, ["/bin/sleep", "3600"])
  return {
    async exec(argv: readonly string[]) {
      const request = { container_id: container, cmd: argv, timeout: 20 }
      const response = await call("ExecSync", request)
      const stdout = Buffer.from(response.stdout as Uint8Array).toString()
      if (response.exit_code === 0) return stdout
      const stderr = Buffer.from(response.stderr as Uint8Array).toString()
      throw new Error(`Cannot run ${argv.join(" ")}: exit ${response.exit_code}: ${stderr}`)
    },
    remove: () => removeSandbox(call, pod),
  }
}

async function startSandbox(call: Call, config: Message): Promise<string> {
  return String((await call("RunPodSandbox", { config })).pod_sandbox_id)
}

async function startContainer(call: Call, pod: string, sandbox: Message, command: string[]) {
  const config = { metadata: { name: "main", attempt: 0 }, image: { image: IMAGE }, command }
  const request = { pod_sandbox_id: pod, config, sandbox_config: sandbox }
  const id = String((await call("CreateContainer", request)).container_id)
  await call("StartContainer", { container_id: id })
  return id
}

async function removeSandbox(call: Call, pod: string): Promise<void> {
  await call("StopPodSandbox", { pod_sandbox_id: pod })
  await call("RemovePodSandbox", { pod_sandbox_id: pod })
}

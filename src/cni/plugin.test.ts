import { afterAll, expect, test } from "bun:test"
import { spawn } from "node:child_process"
import { mkdtempSync, rmSync } from "node:fs"
import { createServer } from "node:net"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { LariatError } from "../errors.ts"
import type { Environment } from "./environment.ts"
import { isObject, type JsonObject } from "./json.ts"
import { type PluginIo, type PluginRole, runPlugin } from "./plugin.ts"
import type { CniRequest, CniResponse } from "./protocol.ts"
import { CNI_VERSIONS } from "./version.ts"

const directory = mkdtempSync(join(tmpdir(), "lariat-plugin-"))
afterAll(() => rmSync(directory, { recursive: true }))

const attachment: Environment = {
  CNI_COMMAND: "ADD",
  CNI_CONTAINERID: "c1",
  CNI_NETNS: "/run/netns/c1",
  CNI_IFNAME: "eth0",
}
const config = { cniVersion: "0.4.0", name: "n", type: "rancher-bridge" }
const good: CniResponse = { exit: 0, stdout: '{"cniVersion" : "0.4.0"}\n', stderr: "" }

interface Outcome {
  exit: number
  stdout: string
  stderr: string
  requests: CniRequest[]
  sockets: string[]
}

/** Runs the plugin with a fake agent that gives `response`, or throws it. */
async function run(
  env: Environment,
  stdin: unknown,
  response: CniResponse | Error = good,
  role: PluginRole = "bridge",
): Promise<Outcome> {
  const outcome: Outcome = { exit: -1, stdout: "", stderr: "", requests: [], sockets: [] }
  const decoder = new TextDecoder()
  const io: PluginIo = {
    env,
    readStdin: () => {
      if (stdin instanceof Uint8Array) return stdin
      return new TextEncoder().encode(typeof stdin === "string" ? stdin : JSON.stringify(stdin))
    },
    writeOut: (bytes) => {
      outcome.stdout += decoder.decode(bytes)
    },
    writeErr: (bytes) => {
      outcome.stderr += decoder.decode(bytes)
    },
    call: (socket, request) => {
      outcome.sockets.push(socket)
      outcome.requests.push(JSON.parse(decoder.decode(request)))
      if (response instanceof Error) throw response
      return new TextEncoder().encode(`${JSON.stringify(response)}\n`)
    },
  }
  outcome.exit = await runPlugin(role, io)
  return outcome
}

function errorOf(outcome: Outcome): JsonObject {
  const json: unknown = JSON.parse(outcome.stdout)
  if (!isObject(json)) throw new Error("standard output is no object")
  return json
}

test("the agent's answer is printed byte for byte", async () => {
  const response = { exit: 0, stdout: '{ "cniVersion":"0.4.0"\t}', stderr: "lariat: note" }
  const outcome = await run(attachment, config, response)
  expect(outcome).toMatchObject(response)
})

test("the agent gets role, variables and the configuration untouched", async () => {
  const odd = { ...config, 'hairpinMode"': true, mtu: "1500", list: [null, { a: 1e3 }] }
  const env = { ...attachment, CNI_ARGS: "IP=10.42.0.9", CNI_PATH: "/opt/cni/bin" }
  const { requests, sockets } = await run(env, odd, good, "ipam")
  expect(sockets).toEqual(["/run/lariat/agent.sock"])
  expect(requests).toEqual([
    {
      op: "cni",
      role: "ipam",
      env: {
        command: "ADD",
        containerId: "c1",
        netns: "/run/netns/c1",
        ifname: "eth0",
        args: "IP=10.42.0.9",
        path: "/opt/cni/bin",
        netnsOverride: false,
      },
      config: odd,
    },
  ])
})

test("an error of the agent is printed with its exit code", async () => {
  const response = { exit: 1, stdout: '{"code":102}', stderr: "lariat: eth0 exists\n" }
  expect(await run(attachment, config, response)).toMatchObject(response)
})

test("VERSION is answered without agent and standard input", async () => {
  const outcome = await run({ CNI_COMMAND: "VERSION" }, "not JSON", new Error("called"))
  expect(outcome).toMatchObject({ exit: 0, stderr: "", requests: [] })
  expect(JSON.parse(outcome.stdout)).toEqual({
    cniVersion: "1.1.0",
    supportedVersions: [...CNI_VERSIONS],
  })
})

test.each([{}, { CNI_COMMAND: "" }])("without a command it says what it is", async (env) => {
  const outcome = await run(env, "not JSON")
  expect(outcome).toMatchObject({ exit: 0, stdout: "", requests: [] })
  expect(outcome.stderr).toContain("0.1.0, 0.2.0, 0.3.0, 0.3.1, 0.4.0, 1.0.0, 1.1.0")
})

test.each([
  ["the configuration's key", { ...config, agentSocket: "/a.sock" }, "/a.sock"],
  ["LARIAT_SOCKET", config, "/b.sock"],
])("the socket is that of %s", async (_which, netconf, path) => {
  const env = { ...attachment, LARIAT_SOCKET: "/b.sock" }
  expect((await run(env, netconf)).sockets).toEqual([path])
})

test.each([
  ["rancher-bridge called as bridge", "bridge", "rancher-bridge", "rancher-cni-ipam", "bridge"],
  ["lariat-cni called as itself", "bridge", "lariat-cni", "lariat-cni", "bridge"],
  ["lariat-cni called by another plugin", "bridge", "ptp", "lariat-cni", "ipam"],
  ["rancher-cni-ipam called by another plugin", "ipam", "ptp", "rancher-cni-ipam", "ipam"],
  ["the plugin under a name of the user's", "bridge", "my-net", "rancher-cni-ipam", "bridge"],
] as const)("%s", async (_what, called, type, ipam, role) => {
  const { requests } = await run(
    attachment,
    { ...config, type, ipam: { type: ipam } },
    good,
    called,
  )
  expect(requests.map((request) => request.role)).toEqual([role])
})

test.each([
  ["an unknown command", { ...attachment, CNI_COMMAND: "FROB" }, config, 4, "1.1.0"],
  ["missing variables", { CNI_COMMAND: "ADD" }, config, 4, "1.1.0"],
  ["a bad LARIAT_TIMEOUT_MS", { ...attachment, LARIAT_TIMEOUT_MS: "0" }, config, 4, "0.4.0"],
  ["malformed JSON", attachment, '{"name": "n",', 6, "1.1.0"],
  ["empty input", attachment, "", 6, "1.1.0"],
  ["null", attachment, null, 6, "1.1.0"],
  ["a list", attachment, [config], 6, "1.1.0"],
  ["invalid UTF-8", attachment, Uint8Array.of(0x7b, 0xc0, 0x7d), 6, "1.1.0"],
  ["deep nesting", attachment, `${'{"a":'.repeat(9e4)}1${"}".repeat(9e4)}`, 6, "1.1.0"],
  ["an unknown version", attachment, { ...config, cniVersion: "2.0.0" }, 1, "1.1.0"],
  ["a version that is no text", attachment, { ...config, cniVersion: 1 }, 1, "1.1.0"],
  ["a name that is missing", attachment, { cniVersion: "0.4.0" }, 7, "1.1.0"],
  ["a name that is no text", attachment, { ...config, name: 5 }, 7, "1.1.0"],
  ["an agentSocket that is no text", attachment, { ...config, agentSocket: 5 }, 7, "0.4.0"],
  [
    "a delegate that delegates",
    { ...attachment, LARIAT_DELEGATED: "my-net" },
    { ...config, ipam: { type: "my-net" } },
    7,
    "0.4.0",
  ],
  ["GC before 1.1.0", { CNI_COMMAND: "GC" }, config, 1, "1.1.0"],
  ["CHECK without prevResult", { ...attachment, CNI_COMMAND: "CHECK" }, config, 7, "1.1.0"],
])("%s: one error on standard output, one line on standard error", async (...row) => {
  const [, env, stdin, code, cniVersion] = row
  const outcome = await run(env, stdin)
  expect(outcome).toMatchObject({ exit: 1, requests: [] })
  const { msg, details, ...rest } = errorOf(outcome)
  expect(rest).toEqual({ cniVersion, code })
  expect(msg).toStartWith("Cannot ")
  expect(details).toBeString()
  expect(outcome.stderr).toMatch(/^lariat: Cannot [^\n]*\. [^\n]+\n$/)
})

test.each([
  ["ADD", 11],
  ["DEL", 11],
  ["STATUS", 50],
])("%s fails with code %i while the agent is away", async (command, code) => {
  const away = new LariatError("Cannot reach the agent at /a.sock: nobody listens", {
    code: "agent-away",
    hint: "start it",
  })
  const netconf = { ...config, cniVersion: "1.1.0" }
  const outcome = await run({ ...attachment, CNI_COMMAND: command }, netconf, away)
  expect(outcome).toMatchObject({
    exit: 1,
    stderr: "lariat: Cannot reach the agent at /a.sock: nobody listens. Start it\n",
  })
  expect(errorOf(outcome)).toEqual({
    cniVersion: "1.1.0",
    code,
    msg: away.message,
    details: "start it",
  })
})

test("descriptors that nobody reads give exit code 1 and no rejection", async () => {
  const broken = (): never => {
    throw new LariatError("Cannot write to descriptor 1: Broken pipe", { code: "io" })
  }
  const io: PluginIo = {
    env: { CNI_COMMAND: "VERSION" },
    readStdin: broken,
    writeOut: broken,
    writeErr: broken,
    call: broken,
  }
  expect(await runPlugin("bridge", io)).toBe(1)
  expect(await runPlugin("bridge", { ...io, env: attachment })).toBe(1)
})

/** Runs pluginMain in a process of its own. */
function runProcess(env: Record<string, string>, stdin: string): Promise<Outcome> {
  const module = new URL("./plugin.ts", import.meta.url).href
  const program = `process.exitCode = await (await import("${module}")).pluginMain("bridge")`
  const child = spawn(process.execPath, ["-e", program], { env, timeout: 20_000 })
  const outcome: Outcome = { exit: -1, stdout: "", stderr: "", requests: [], sockets: [] }
  child.stdout.on("data", (chunk: Uint8Array) => {
    outcome.stdout += chunk
  })
  child.stderr.on("data", (chunk: Uint8Array) => {
    outcome.stderr += chunk
  })
  // The plugin ends without reading what it cannot use.
  child.stdin.on("error", () => {})
  child.stdin.end(stdin)
  return new Promise((resolve, reject) => {
    child.on("error", reject)
    child.on("close", (exit) => resolve({ ...outcome, exit: exit ?? -1 }))
  })
}

test("a real process asks over a real socket", async () => {
  const path = join(directory, "agent.sock")
  let received = ""
  const server = createServer((socket) => {
    socket.on("data", (chunk) => {
      received += chunk
      if (received.endsWith("\n")) socket.end(`${JSON.stringify(good)}\n`)
    })
  })
  await new Promise<void>((resolve) => server.listen(path, resolve))
  try {
    const env = { ...attachment, LARIAT_SOCKET: path } as Record<string, string>
    expect(await runProcess(env, JSON.stringify(config))).toMatchObject({
      exit: 0,
      stdout: good.stdout,
      stderr: "",
    })
    expect(JSON.parse(received)).toMatchObject({ op: "cni", role: "bridge", config })
  } finally {
    server.close()
  }
})

test("a real process finds nobody at the socket", async () => {
  const env = { ...attachment, LARIAT_SOCKET: join(directory, "none.sock") }
  const outcome = await runProcess(env as Record<string, string>, JSON.stringify(config))
  expect(outcome.exit).toBe(1)
  expect(errorOf(outcome)).toMatchObject({ cniVersion: "0.4.0", code: 11 })
  expect(outcome.stderr).toMatch(/^lariat: Cannot reach the agent at [^\n]+\n$/)
})

test("a real process refuses a configuration of more than 1 MiB with code 5", async () => {
  const stdin = JSON.stringify({ ...config, filler: "x".repeat(2_000_000) })
  const outcome = await runProcess(attachment as Record<string, string>, stdin)
  expect(outcome.exit).toBe(1)
  expect(errorOf(outcome)).toMatchObject({ code: 5 })
  expect(outcome.stderr).toContain("at most 1048576 bytes")
})

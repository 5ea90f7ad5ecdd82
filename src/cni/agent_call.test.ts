import { expect, test } from "bun:test"
import { LariatError } from "../errors.ts"
import { askAgent, DEFAULT_SOCKET, decodeResponse, socketPath } from "./agent_call.ts"
import { readEnvironment } from "./environment.ts"
import { CniError } from "./error.ts"
import type { CniRequest } from "./protocol.ts"

function refusal(run: () => unknown): CniError {
  try {
    run()
  } catch (error) {
    if (error instanceof CniError) return error
    throw error
  }
  throw new Error("it was accepted")
}

function bytes(text: string): Uint8Array {
  return new TextEncoder().encode(text)
}

function request(command: string, config: Record<string, unknown> = { name: "n" }): CniRequest {
  const env = readEnvironment({
    CNI_COMMAND: command,
    CNI_CONTAINERID: "c1",
    CNI_NETNS: "/run/netns/c1",
    CNI_IFNAME: "eth0",
  })
  return { op: "cni", role: "bridge", env, config }
}

test.each([
  ["the configuration's", "/a.sock", "/b.sock", "/a.sock"],
  ["the variable's without it", undefined, "/b.sock", "/b.sock"],
  ["the variable's where it is null", null, "/b.sock", "/b.sock"],
  ["the default without either", undefined, undefined, DEFAULT_SOCKET],
  ["the default where both are empty", "", "", DEFAULT_SOCKET],
])("the socket is %s", (_which, setting, variable, path) => {
  expect(socketPath(setting, variable)).toBe(path)
})

test.each([
  ["a relative agentSocket", "agent.sock", undefined, 7, "agentSocket"],
  ["an agentSocket that is no text", { path: "/a" }, undefined, 7, "agentSocket"],
  ["an agentSocket with a NUL", "/a\0b", undefined, 7, "agentSocket"],
  ["an agentSocket that no address holds", `/${"x".repeat(107)}`, undefined, 7, "107 bytes"],
  ["a relative LARIAT_SOCKET", undefined, "agent.sock", 4, "LARIAT_SOCKET"],
])("%s is refused", (_what, setting, variable, code, words) => {
  const error = refusal(() => socketPath(setting, variable))
  expect(error.cniCode).toBe(code)
  expect(error.message).toContain(words)
})

test("the request is one line of JSON, and goes where it should", () => {
  const asked = request("ADD", { name: "n", note: "two\nlines" })
  const calls: [string, string, number][] = []
  const answer = askAgent(
    asked,
    "/a.sock",
    (socket, sent, timeoutMs) => {
      calls.push([socket, new TextDecoder().decode(sent), timeoutMs])
      return bytes('{"exit":0,"stdout":"{}","stderr":""}\n')
    },
    1234,
  )
  expect(answer).toEqual({ exit: 0, stdout: "{}", stderr: "" })
  expect(calls).toEqual([["/a.sock", `${JSON.stringify(asked)}\n`, 1234]])
  expect(calls[0]?.[1].indexOf("\n")).toBe((calls[0]?.[1].length ?? 0) - 1)
})

test("a request beyond the agent's limit is not sent", () => {
  const error = refusal(() =>
    askAgent(
      request("ADD", { name: "n", filler: "x".repeat(1_048_576) }),
      "/a.sock",
      () => {
        throw new Error("it was sent")
      },
      1,
    ),
  )
  expect(error.cniCode).toBe(7)
})

test.each([
  ["ADD", "agent-away", 11],
  ["DEL", "agent-away", 11],
  ["CHECK", "busy", 11],
  ["GC", "agent-away", 11],
  ["STATUS", "agent-away", 50],
  ["STATUS", "permission", 50],
  ["ADD", "permission", 112],
] as const)("%s where the call fails with %s gives code %i", (command, code, number) => {
  const away = new LariatError("Cannot reach the agent at /a.sock: nobody listens", {
    code,
    hint: "Start it.",
  })
  const error = refusal(() =>
    askAgent(
      request(command),
      "/a.sock",
      () => {
        throw away
      },
      1,
    ),
  )
  expect(error).toMatchObject({
    cniCode: number,
    message: away.message,
    details: "Start it.",
    cause: away,
  })
})

test("an answer may print nothing where the command has no result", () => {
  for (const command of ["DEL", "CHECK", "GC", "STATUS"]) {
    const answer = { exit: 0, stdout: "", stderr: "lariat: done\n" }
    expect(decodeResponse(bytes(`${JSON.stringify(answer)}\n`), command)).toEqual(answer)
  }
})

test.each([
  ["nothing", "", 11, "breaks off"],
  ["half an answer", '{"exit":0,"std', 11, "breaks off"],
  ["no JSON", "HTTP/1.1 400\n", 5, "no JSON object"],
  ["null", "null\n", 5, "no JSON object"],
  ["a list", "[]\n", 5, "no JSON object"],
  ["no exit code", '{"stdout":"","stderr":""}\n', 5, "exit code is undefined"],
  ["exit code 256", '{"exit":256,"stdout":"{}","stderr":""}\n', 5, "exit code is 256"],
  ["exit code 0.5", '{"exit":0.5,"stdout":"{}","stderr":""}\n', 5, "exit code is 0.5"],
  ["stdout no text", '{"exit":0,"stdout":{},"stderr":""}\n', 5, "stdout is an object"],
  ["stderr no text", '{"exit":0,"stdout":"{}"}\n', 5, "stderr is undefined"],
  ["no result", '{"exit":0,"stdout":"","stderr":""}\n', 5, "stdout is empty"],
  ["two results", '{"exit":0,"stdout":"{}{}","stderr":""}\n', 5, "stdout is no JSON"],
  ["no error's JSON", '{"exit":1,"stdout":"","stderr":"x"}\n', 5, "stdout is empty"],
  ["a refusal", '{"ok":false,"code":"busy","message":"Cannot take it"}\n', 11, "Cannot take it"],
  ["a strange refusal", '{"ok":false,"code":"odd"}\n', 100, "it refused"],
])("an answer of %s is refused", (_what, text, code, words) => {
  const error = refusal(() => decodeResponse(bytes(text), "ADD"))
  expect(error.cniCode).toBe(code)
  expect(error.message).toContain(words)
  expect(error.hint).toBeString()
})

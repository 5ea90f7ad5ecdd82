/** Whatever comes in, a runtime gets one JSON document or none, and an exit code that fits it. */

import { expect, test } from "bun:test"
import fc from "fast-check"
import { type ErrorCode, LariatError } from "../errors.ts"
import { CNI_CODES } from "./error.ts"
import { isObject, parseJson } from "./json.ts"
import { runPlugin } from "./plugin.ts"
import { CNI_COMMANDS, CNI_VERSIONS } from "./version.ts"

/** Inputs in all; three quarters of them are mutations of a good call. */
const RUNS = 3_000

const encode = (text: string): Uint8Array => new TextEncoder().encode(text)

const junk = fc.oneof(fc.string({ unit: "binary" }), fc.jsonValue(), fc.constant(undefined))

const variable = (...good: string[]) =>
  fc.oneof(
    { weight: 6, arbitrary: fc.constantFrom(...good) },
    { weight: 1, arbitrary: fc.string({ unit: "binary" }) },
    { weight: 1, arbitrary: fc.constant(undefined) },
  )

const env = fc.record({
  CNI_COMMAND: variable(...CNI_COMMANDS),
  CNI_CONTAINERID: variable("c1", "a.b-C_9"),
  CNI_NETNS: variable("/run/netns/c1", ""),
  CNI_IFNAME: variable("eth0", "net1"),
  CNI_ARGS: variable("", "IgnoreUnknown=1;IP=10.42.0.9"),
  CNI_PATH: variable("", "/nonexistent:/"),
  LARIAT_SOCKET: variable("", "/run/a.sock"),
  LARIAT_TIMEOUT_MS: variable("", "50"),
})

const key = <T>(good: fc.Arbitrary<T>) =>
  fc.oneof({ weight: 6, arbitrary: good }, { weight: 1, arbitrary: junk })

const config = fc
  .record({
    cniVersion: key(fc.constantFrom(...CNI_VERSIONS)),
    name: key(fc.constant("n")),
    type: key(fc.constantFrom("rancher-bridge", "lariat-cni", "ptp")),
    ipam: key(fc.record({ type: key(fc.constantFrom("rancher-cni-ipam", "nowhere")) })),
    prevResult: key(fc.constant({})),
    agentSocket: key(fc.constant("/run/b.sock")),
    extra: junk,
  })
  .map((value) => encode(JSON.stringify(value)))

/** Bytes with a few of them changed, cut out or doubled. */
const mutated = fc
  .tuple(config, fc.array(fc.tuple(fc.nat(2), fc.nat(), fc.nat(255)), { maxLength: 4 }))
  .map(([bytes, changes]) => {
    let mutant = [...bytes]
    for (const [kind, position, byte] of changes) {
      const at = position % (mutant.length + 1)
      if (kind === 0) mutant[at] = byte
      else if (kind === 1) mutant = mutant.slice(0, at)
      else mutant.splice(at, 0, ...mutant.slice(at, at + 20))
    }
    return Uint8Array.from(mutant)
  })

const stdin = fc.oneof(
  { weight: 3, arbitrary: config },
  { weight: 3, arbitrary: mutated },
  { weight: 1, arbitrary: fc.uint8Array({ maxLength: 200 }) },
  { weight: 1, arbitrary: fc.json().map(encode) },
)

const response = fc.oneof(
  fc.constant('{"exit":0,"stdout":"{}","stderr":""}\n'),
  fc.constant('{"exit":0,"stdout":"","stderr":"lariat: note\\n"}\n'),
  fc.constant('{"exit":1,"stdout":"{\\"code\\":102}","stderr":"lariat: no\\n"}\n'),
  fc.record({ exit: junk, stdout: junk, stderr: junk }).map((value) => JSON.stringify(value)),
  fc.record({ ok: fc.constant(false), code: junk, message: junk }).map((v) => JSON.stringify(v)),
  fc.string({ unit: "binary" }),
)

const failure = fc
  .constantFrom(...(Object.keys(CNI_CODES) as ErrorCode[]))
  .map((code) => new LariatError("Cannot reach the agent", { code }))

test("one JSON document or nothing on standard output, whatever comes in", async () => {
  const seen = new Set<string>()
  await fc.assert(
    fc.asyncProperty(
      fc.constantFrom("bridge" as const, "ipam" as const),
      env,
      stdin,
      fc.oneof({ weight: 5, arbitrary: response }, { weight: 1, arbitrary: failure }),
      async (role, variables, input, answer) => {
        const out: string[] = []
        const exit = await runPlugin(role, {
          env: variables,
          readStdin: () => input,
          writeOut: (bytes) => void out.push(new TextDecoder().decode(bytes)),
          writeErr: () => {},
          call: () => {
            if (answer instanceof Error) throw answer
            return encode(answer)
          },
        })
        expect(out.length).toBeLessThanOrEqual(1)
        const [stdout = ""] = out
        const json = parseJson(stdout)
        if (stdout !== "") expect(isObject(json)).toBe(true)
        if (exit === 0) {
          if (variables.CNI_COMMAND === "ADD") expect(isObject(json)).toBe(true)
        } else {
          expect(exit).toBeGreaterThan(0)
          expect(exit).toBeLessThan(256)
          expect(isObject(json)).toBe(true)
        }
        seen.add(exit === 0 ? "good" : `code ${isObject(json) ? json.code : undefined}`)
      },
    ),
    { numRuns: RUNS },
  )
  // The inputs went everywhere: to the agent, and to each way of being refused.
  const must = ["good", "code 1", "code 4", "code 5", "code 6", "code 7", "code 11", "code 102"]
  expect([...seen]).toEqual(expect.arrayContaining(must))
})

import { expect, test } from "bun:test"
import fc from "fast-check"
import type { Caller } from "../caller.ts"
import type { AgentContext } from "../context.ts"
import type { CniService } from "./cni_service.ts"
import { answerRequest } from "./control.ts"

const service = {
  handle: async (request: unknown) => ({ handled: request }),
} as unknown as CniService
const context = {} as AgentContext
const caller: Caller = { isGone: () => false, ifLost: () => {} }
const ask = (request: unknown) => answerRequest(context, service, request, caller)

test("a plugin's call goes to the CNI service, a command's question is answered", async () => {
  expect(await ask({ op: "cni", x: 1 })).toEqual({
    handled: { op: "cni", x: 1 },
  })
  expect(await ask({ op: "version" })).toMatchObject({ ok: true })
})

test("an unknown op is refused with those that are known", async () => {
  for (const request of [{ op: "dance" }, { op: "toString" }, {}, null, 7, "status", []]) {
    expect(await ask(request)).toMatchObject({
      ok: false,
      code: "decode",
    })
  }
})

test("a fault of ours is an answer, not a crash", async () => {
  expect(await ask({ op: "status" })).toMatchObject({
    ok: false,
    code: "internal",
  })
})

test("any JSON is answered", async () => {
  await fc.assert(
    fc.asyncProperty(fc.jsonValue(), async (request) => {
      expect(await ask(request)).toBeDefined()
    }),
  )
})

import { expect, test } from "bun:test"
import { LariatError } from "../../../errors.ts"
import { EtcdFailure, failureOf, isOutOfRange, refusalOf, statusFailure } from "./failure.ts"

const json = (value: object) => JSON.stringify(value)

test("refusals of etcd 3.4, of its streams, and of 3.6", () => {
  const message = "etcdserver: permission denied"
  const forms = [
    { error: message, message, code: 7 },
    { code: 7, message, details: [] },
  ]
  for (const form of forms)
    expect(statusFailure(403, json(form))).toMatchObject({ message, code: 7 })
  expect(refusalOf({ grpc_code: 7, http_code: 403, message })).toMatchObject({
    message,
    code: 7,
  })
})

test("what every member would say is final, what one says for itself is not", () => {
  const final = (status: number, code: number) =>
    statusFailure(status, json({ message: "x", code })).final
  for (const code of [3, 5, 7, 9, 11, 12, 16]) expect(final(400, code)).toBe(true)
  for (const code of [1, 2, 4, 8, 13, 14, 15]) expect(final(503, code)).toBe(false)
  expect(statusFailure(502, "<html>Bad gateway</html>").final).toBe(false)
})

test("a page of somebody else is not quoted", () => {
  const failure = statusFailure(502, "<html>secret</html>")
  expect(failure.message).toBe("HTTP status 502, not from etcd")
})

test("tokens that are worth renewing", () => {
  const failure = (message: string, code: number) => new EtcdFailure(message, { code })
  expect(failure("etcdserver: invalid auth token", 16).staleToken).toBe(true)
  expect(failure("etcdserver: user name is empty", 3).staleToken).toBe(true)
  expect(failure("etcdserver: revision of auth store is old", 3).staleToken).toBe(true)
  expect(failure("etcdserver: permission denied", 7).staleToken).toBe(false)
  expect(failure("etcdserver: permission denied", 7).denied).toBe(true)
})

test("only what surely reached nobody counts as untouched", () => {
  const bun = Object.assign(new Error("Unable to connect"), { code: "ECONNREFUSED" })
  const deno = new TypeError("error sending request", {
    cause: new Error(
      "client error (Connect): tcp connect error: Connection refused (os error 111)",
    ),
  })
  const reset = Object.assign(new Error("The socket connection was closed"), { code: "ECONNRESET" })
  expect(failureOf(bun)).toMatchObject({ untouched: true, message: "connection refused" })
  expect(failureOf(deno).untouched).toBe(true)
  expect(failureOf(reset)).toMatchObject({ untouched: false, message: "the connection broke" })
  expect(failureOf("odd")).toMatchObject({ untouched: false, message: "odd" })
  expect(statusFailure(503, json({ message: "etcdserver: no leader", code: 14 })).untouched).toBe(
    true,
  )
  expect(
    statusFailure(503, json({ message: "etcdserver: request timed out", code: 14 })).untouched,
  ).toBe(false)
})

test("long texts are cut", () => {
  expect(failureOf(new Error("x".repeat(10_000))).message.length).toBeLessThan(300)
})

test("a refusal for its revision is told from others, in the error of a call", () => {
  const call = (code: number) =>
    isOutOfRange(new LariatError("x", { code: "io", cause: new EtcdFailure("x", { code }) }))
  expect([call(11), call(5), isOutOfRange(new Error("x"))]).toEqual([true, false, false])
})

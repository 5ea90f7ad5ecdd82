import { expect, test } from "bun:test"
import fc from "fast-check"
import { type EndpointRecord, endpointBody, parseEndpointRecord } from "./endpoint_record.ts"
import { PeerRefusedError } from "./envelope.ts"

const RECORD: EndpointRecord = {
  uuid: "0b9c1c1e-3b0e-5d7a-8f43-4ad4a3b8a0d1",
  containerId: "4f2a9c",
  name: "web 1",
  addresses: ["10.42.3.7", "fd00:42::7"],
  mac: "02:42:0a:2a:03:07",
  labels: { "io.rancher.stack.name": "shop" },
  createIndex: 7,
}

const through = (record: EndpointRecord) =>
  parseEndpointRecord(JSON.parse(JSON.stringify(endpointBody(record))))

test("is read as it was written", () => {
  expect(through(RECORD)).toEqual(RECORD)
  expect(through({ ...RECORD, mac: undefined })).toEqual({ ...RECORD, mac: undefined })
  expect(through({ ...RECORD, mac: "02:42:0A:2A:03:07" })).toEqual(RECORD)
})

test("a label that is too long costs the label, not the container", () => {
  expect(through({ ...RECORD, labels: { a: "1", file: "x".repeat(70_000) } }).labels).toEqual({
    a: "1",
  })
})

test.each([
  [{ name: "" }, "name"],
  [{ name: "a\nforged line of the log" }, "name"],
  [{ name: "x".repeat(254) }, "name"],
  [{ containerId: "a b" }, "containerId"],
  [{ uuid: 7 }, "uuid"],
  [{ addresses: [] }, "addresses"],
  [{ addresses: ["10.42.3.07"] }, "addresses"],
  [{ addresses: ["10.42.3.7", "10.42.3.7"] }, "addresses"],
  [{ addresses: Array.from({ length: 9 }, (_, n) => `10.42.3.${n}`) }, "addresses"],
  [{ mac: "2:42:a:2a:3:7" }, "mac"],
  [{ labels: [] }, "labels"],
  [{ createIndex: -1 }, "createIndex"],
  [{ createIndex: 2 ** 60 }, "createIndex"],
])("%j is refused, and named", (change, field) => {
  const body = { ...RECORD, ...change }
  expect(() => parseEndpointRecord(body)).toThrow(`Cannot take the endpoint: ${field}`)
})

test("anything else is refused as what it is", () => {
  const body = fc.oneof(
    fc.anything(),
    fc.record({ name: fc.anything(), addresses: fc.anything(), labels: fc.anything() }),
  )
  fc.assert(
    fc.property(body, (value) => {
      expect(() => parseEndpointRecord(value)).toThrow(PeerRefusedError)
    }),
  )
})

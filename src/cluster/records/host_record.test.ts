import { expect, test } from "bun:test"
import fc from "fast-check"
import { PeerRefusedError } from "./envelope.ts"
import { type HostRecord, hostBody, parseHostRecord } from "./host_record.ts"

const RECORD: HostRecord = {
  name: "edge 1",
  underlay: ["192.0.2.1", "2001:db8::1"],
  labels: { site: "north" },
  networks: {
    ipsec: { driver: "ipsec", overlay: ["10.42.3.255"], parameters: {} },
    "a/b": { driver: "vxlan", overlay: [], parameters: { mac: "02:00:00:00:00:01" } },
  },
}

const through = (record: HostRecord) =>
  parseHostRecord(JSON.parse(JSON.stringify(hostBody(record))))

test("is read as it was written", () => {
  expect(through(RECORD)).toEqual(RECORD)
})

test("a label that is too long costs the label, not the host", () => {
  expect(through({ ...RECORD, labels: { big: "x".repeat(70_000) } }).labels).toEqual({})
})

test.each([
  [{ name: "a\u001b[31mb" }, "name"],
  [{ name: "" }, "name"],
  [{ underlay: ["192.0.2.1/24"] }, "underlay"],
  [{ underlay: "192.0.2.1" }, "underlay"],
  [{ underlay: ["127.0.0.1"] }, "underlay holds 127.0.0.1"],
  [{ underlay: ["0.0.0.0"] }, "underlay holds"],
  [{ underlay: ["224.0.0.1"] }, "underlay holds"],
  [{ underlay: ["255.255.255.255"] }, "underlay holds"],
  [{ underlay: ["192.0.2.1", "::1"] }, "underlay holds ::1"],
  [{ underlay: ["::"] }, "underlay holds"],
  [{ underlay: ["fe80::1"] }, "underlay holds"],
  [{ underlay: ["ff02::1"] }, "underlay holds"],
  [{ underlay: Array.from({ length: 9 }, (_, n) => `192.0.2.${n}`) }, "underlay"],
  [{ labels: { a: 1 } }, "labels"],
  [{ networks: [] }, "networks"],
  [{ networks: Object.fromEntries(Array.from({ length: 17 }, (_, n) => [n, {}])) }, "networks"],
  [
    { networks: { n: { driver: "IPsec", overlay: [], parameters: {} } } },
    "networks holds something: driver",
  ],
  [
    { networks: { n: { driver: "ipsec", overlay: ["x"], parameters: {} } } },
    "networks holds something: overlay",
  ],
  [
    { networks: { n: { driver: "ipsec", overlay: [], parameters: { a: 1 } } } },
    "networks holds something: parameters",
  ],
  [{ networks: { n: null } }, "networks holds something: it"],
])("%j is refused, and named", (change, field) => {
  expect(() => parseHostRecord({ ...RECORD, ...change })).toThrow(`Cannot take the host: ${field}`)
})

test("anything else is refused as what it is", () => {
  const body = fc.oneof(
    fc.anything(),
    fc.record({ name: fc.anything(), underlay: fc.anything(), networks: fc.anything() }),
  )
  fc.assert(
    fc.property(body, (value) => {
      expect(() => parseHostRecord(value)).toThrow(PeerRefusedError)
    }),
  )
})

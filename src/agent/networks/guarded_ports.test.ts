import { expect, test } from "bun:test"
import type { EndpointRow } from "../state/rows.ts"
import { row } from "./endpoint_index.test.ts"
import { addressOnlySpec, specJson } from "./endpoint_spec.ts"
import { GuardedPorts } from "./guarded_ports.ts"

const request = specJson({ ...addressOnlySpec([]), antiSpoofing: true })
const netns = { path: "/run/netns/a", dev: 4n, ino: 12n }

function port(hostIndex: number, address: string, more: Partial<EndpointRow> = {}): EndpointRow {
  const addresses = [{ address, prefix: 16, gateway: undefined }]
  return row(`c${hostIndex}`, { hostIndex, addresses, request, ...more })
}

test("a port sends under the addresses of its whole container, Docker's too", () => {
  const ports = new GuardedPorts()
  const result = { foreignAddresses: ["172.17.0.2"] }
  const mac = "02:00:00:00:00:01"
  const first = port(7, "10.42.0.2", { netns, kind: "adopted", result })
  expect(ports.add(first)).toEqual([{ index: 7, mac, addresses: ["10.42.0.2", "172.17.0.2"] }])
  const all = ["10.42.0.2", "172.17.0.2", "10.43.0.9"]
  expect(ports.add(port(8, "10.43.0.9", { netns }))).toEqual([
    { index: 7, mac, addresses: all },
    { index: 8, mac, addresses: all },
  ])
  expect(ports.delete(7)).toEqual([{ index: 8, mac, addresses: ["10.43.0.9"] }])
  expect(ports.size).toBe(1)
})

test("containers do not share addresses, with or without a known namespace", () => {
  const ports = new GuardedPorts()
  ports.add(port(7, "10.42.0.2", { netns }))
  ports.add(port(8, "10.42.0.3", { netns: { ...netns, ino: 13n } }))
  ports.add(port(9, "10.42.0.4"))
  expect(ports.all().map(({ index, addresses }) => `${index} ${addresses}`)).toEqual([
    "7 10.42.0.2",
    "8 10.42.0.3",
    "9 10.42.0.4",
  ])
  ports.clear()
  expect(ports.all()).toEqual([])
})

test("what is not to be guarded is not, nor what is not known", () => {
  const ports = new GuardedPorts()
  const free = specJson({ ...addressOnlySpec([]), antiSpoofing: false })
  const old = specJson(addressOnlySpec([]))
  for (const one of [{ request: free }, { request: old }, { kind: "ipam" as const }]) {
    expect(ports.add(port(7, "10.42.0.2", one))).toEqual([])
  }
  expect(ports.delete(7)).toBeUndefined()
})

test("a row that changed is not there twice", () => {
  const ports = new GuardedPorts()
  ports.add(port(7, "10.42.0.2", { netns }))
  const other = { ...netns, ino: 13n }
  ports.add(port(7, "10.42.0.3", { netns: other }))
  expect(ports.all().map(({ addresses }) => addresses)).toEqual([["10.42.0.3"]])
})

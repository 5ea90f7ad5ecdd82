import { expect, test } from "bun:test"
import { decodeEndpoint } from "./ip_endpoint.ts"
import { ipSocketAddress, unixSocketAddress } from "./socket_address.ts"

test.each([
  ["192.0.2.7", 4500],
  ["2001:db8::7", 51_820],
])("%s port %d is read as it was written", (address, port) => {
  expect(decodeEndpoint(ipSocketAddress(address, port).bytes)).toEqual({ address, port })
})

test("another family is none, a cut address malformed", () => {
  expect(decodeEndpoint(unixSocketAddress("/run/x").bytes)).toBeUndefined()
  expect(decodeEndpoint(new Uint8Array(0))).toBeUndefined()
  const cut = ipSocketAddress("2001:db8::7", 1).bytes.subarray(0, 20)
  expect(() => decodeEndpoint(cut)).toThrow("it has 20 bytes")
})

import { expect, test } from "bun:test"
import { hostAddresses, isWildcard, listenAddress } from "./service_address.ts"

test("an address to listen on is split", () => {
  expect(listenAddress("169.254.169.250:80")).toEqual({ hostname: "169.254.169.250", port: 80 })
  expect(listenAddress("[fd00::1]:8080")).toEqual({ hostname: "fd00::1", port: 8080 })
})

test("what is none is refused with what is expected", () => {
  for (const text of ["", "80", "1.2.3.4", "fd00::1:80", "1.2.3.4:99999", "host:80"]) {
    expect(() => listenAddress(text)).toThrow("expected ADDRESS:PORT")
  }
})

test("all of a host's addresses are told from one of them", () => {
  expect(["0.0.0.0", "::", "0:0:0:0:0:0:0:0"].map(isWildcard)).toEqual([true, true, true])
  expect(["10.0.0.0", "::1", "127.0.0.1", "fd00::"].some(isWildcard)).toBe(false)
  expect(hostAddresses().some(isWildcard)).toBe(false)
})

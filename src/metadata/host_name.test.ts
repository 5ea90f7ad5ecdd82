import { expect, test } from "bun:test"
import { isOwnHost } from "./host_name.ts"

test.each([
  null,
  "",
  "169.254.169.250",
  "169.254.169.250:80",
  "127.0.0.1:8080",
  "[fd00::1]",
  "[fd00::1]:80",
  "localhost:8080",
  "rancher-metadata",
  "Rancher-Metadata:80",
  "rancher-metadata.rancher.internal",
  "rancher-metadata.RANCHER.internal.:80",
])("%p is asked for", (host) => {
  expect(isOwnHost(host)).toBe(true)
  expect(isOwnHost(host)).toBe(true)
})

test.each([
  "evil.example",
  "evil.example:80",
  "evil.example.",
  "169.254.169.250.evil.example",
  "169.254.169.250.nip.io",
  "1.2.3.4.5",
  "rancher.internal.evil.example",
  "notrancher.internal",
  "[evil.example]",
  "evil.example:80:80",
  "rancher-metadata.evil.example",
  "rancher-metadata@evil.example",
])("%p is refused", (host) => {
  expect(isOwnHost(host)).toBe(false)
  expect(isOwnHost(host)).toBe(false)
})

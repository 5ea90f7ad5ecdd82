/** What the probe for ESP says against what iproute2 finds out. */
import { expect, test } from "bun:test"
import { execFileSync } from "node:child_process"
import { networkInterfaces } from "node:os"
import { probeFeatures } from "../../src/agent/doctor/probe.ts"
import { CIPHERS, type Cipher } from "../../src/core/encapsulation.ts"
import { espSupported } from "../../src/drivers/ipsec/probe.ts"
import { ip, requireTestNetns } from "./guard.ts"

/** RFC 4106 §8.1, RFC 7634 §2: key and salt; RFC 3602, RFC 2404, RFC 4868: two keys. */
const WORDS: Readonly<Record<Cipher, string>> = {
  aes128gcm16: `aead rfc4106(gcm(aes)) 0x${"5b".repeat(20)} 128`,
  aes256gcm16: `aead rfc4106(gcm(aes)) 0x${"5b".repeat(36)} 128`,
  chacha20poly1305: `aead rfc7539esp(chacha20,poly1305) 0x${"5b".repeat(36)} 128`,
  "aes128-sha1": pair(16, "sha1", 20, 96),
  "aes128-sha256": pair(16, "sha256", 32, 128),
  "aes256-sha512": pair(32, "sha512", 64, 256),
}

function pair(keyBytes: number, hash: string, hashBytes: number, bits: number): string {
  const encryption = `enc cbc(aes) 0x${"5b".repeat(keyBytes)}`
  return `${encryption} auth-trunc hmac(${hash}) 0x${"5b".repeat(hashBytes)} ${bits}`
}

/** Whether iproute2 gets one, in a namespace that goes at once. */
function iproute2Can(cipher: Cipher): boolean {
  requireTestNetns()
  const state =
    "src 192.0.2.1 dst 192.0.2.2 proto esp spi 1 mode tunnel replay-window 4096 flag esn"
  const args = `xfrm state add ${state} ${WORDS[cipher]}`.split(" ")
  try {
    execFileSync("unshare", ["--net", "ip", ...args], { stdio: "ignore", timeout: 10_000 })
    return true
  } catch {
    return false
  }
}

test.each(CIPHERS)("%s", (cipher) => {
  const before = networkInterfaces()
  expect(espSupported(cipher)).toBe(iproute2Can(cipher))
  expect(networkInterfaces()).toEqual(before)
})

test("the host's own namespace has no association afterwards, and the doctor says the same", () => {
  expect(probeFeatures().esp).toBe(iproute2Can("aes256gcm16"))
  try {
    expect(ip("xfrm", "state")).toBe("")
  } catch (error) {
    // A kernel without XFRM at all has none either.
    expect(String(error)).toContain("Protocol not supported")
  }
})

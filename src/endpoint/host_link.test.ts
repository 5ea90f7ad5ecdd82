import { expect, test } from "bun:test"
import fc from "fast-check"
import { hostLinkName } from "./host_link.ts"

test("a name the kernel takes: lrt and eleven base32 digits, fourteen bytes of fifteen", () => {
  fc.assert(
    fc.property(fc.string(), fc.string(), fc.string(), (id, ifname, network) => {
      expect(hostLinkName(id, ifname, network)).toMatch(/^lrt[a-z2-7]{11}$/)
    }),
  )
})

test("equal attachments have equal names, others have not, whatever the parts", () => {
  const attachment = fc.tuple(fc.string(), fc.string(), fc.string())
  // A container id, an interface name and a network name hold no zero byte.
  const clean = attachment.map((parts) => parts.map((part) => part.replaceAll("\0", "")))
  fc.assert(
    fc.property(clean, clean, ([a = "", b = "", c = ""], [d = "", e = "", f = ""]) => {
      const same = a === d && b === e && c === f
      expect(hostLinkName(a, b, c) === hostLinkName(d, e, f)).toBe(same)
    }),
  )
  expect(hostLinkName("ab", "c", "d")).not.toBe(hostLinkName("a", "bc", "d"))
})

test("the digits are those of base32 over SHA-256", () => {
  // printf 'c1\0eth0\0net' | sha256sum | xxd -r -p | base32 | tr A-Z a-z | cut -c1-11
  expect(hostLinkName("c1", "eth0", "net")).toBe("lrtdlbgsrbgmmn")
})

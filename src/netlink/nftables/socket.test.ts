import { describe, expect, test } from "bun:test"
import { LariatError } from "../../errors.ts"
import { EINVAL, ENOENT, EPERM, SystemError } from "../../sys/ffi/errno.ts"
import { NetlinkError } from "../error.ts"
import { explainOpen, isStale } from "./socket.ts"

/** asm-generic/errno.h */
const EPROTONOSUPPORT = 93
const ERESTART = 85

describe("a kernel without", () => {
  test.each([
    ["netfilter's netlink", new SystemError(EPROTONOSUPPORT, "socket", "open a netlink socket")],
    ["nf_tables", new NetlinkError("read the nftables generation", EINVAL)],
  ])("%s is told apart", (_, cause) => {
    const error = explainOpen(cause)
    expect(error).toBeInstanceOf(LariatError)
    expect(error).toMatchObject({ code: "kernel-unsupported", cause })
    expect((error as LariatError).hint).toContain("nft_masq")
  })
})

test("a process without CAP_NET_ADMIN learns what it needs", () => {
  const error = explainOpen(new NetlinkError("read the nftables generation", EPERM))
  expect(error).toMatchObject({ code: "permission" })
  expect((error as LariatError).hint).toContain("CAP_NET_ADMIN")
})

test("other failures stay what they are", () => {
  const error = new NetlinkError("read", ENOENT)
  expect(explainOpen(error)).toBe(error)
})

test("only ERESTART means that somebody came between", () => {
  expect(isStale(new NetlinkError("change", ERESTART))).toBe(true)
  expect(isStale(new NetlinkError("change", ENOENT))).toBe(false)
  expect(isStale(new Error("ERESTART"))).toBe(false)
})

import { describe, expect, test } from "bun:test"
import { CIPHERS } from "../../core/encapsulation.ts"
import { LariatError } from "../../errors.ts"
import { NetlinkError } from "../../netlink/error.ts"
import type { MessageWriter } from "../../netlink/message.ts"
import type { Outcome } from "../../netlink/socket.ts"
import { ENOSYS, EPERM } from "../../sys/ffi/errno.ts"
import { type ProbeOptions, tryCipher } from "./cipher_probe.ts"

const EPROTONOSUPPORT = 93

/** A kernel that refuses what is for one family. */
function kernel(refused: string | undefined, errno: number, extAck = "") {
  const asked: string[] = []
  return {
    asked,
    tryAll(batch: readonly MessageWriter[]): readonly Outcome[] {
      return batch.map(({ operation }) => {
        asked.push(operation)
        const hit = refused !== undefined && operation.includes(refused)
        const error = hit ? new NetlinkError(operation, errno, { extAck }) : undefined
        return { answers: [], error }
      })
    },
  }
}

function refusalOf(from: ReturnType<typeof kernel>, options?: ProbeOptions): LariatError {
  try {
    tryCipher(from, "aes256gcm16", options)
  } catch (error) {
    if (error instanceof LariatError) return error
    throw error
  }
  throw new Error("it was not refused")
}

describe("tryCipher", () => {
  test.each(CIPHERS)("%s: asks for one association of each family", (cipher) => {
    const all = kernel(undefined, 0)
    tryCipher(all, cipher)
    expect(all.asked).toEqual([
      "add the association 0x00000100 from 192.0.2.1 to 192.0.2.2",
      "add the association 0x00000100 from 2001:db8::1 to 2001:db8::2",
    ])
    const one = kernel(undefined, 0)
    tryCipher(one, cipher, { families: [6] })
    expect(one.asked).toEqual(["add the association 0x00000100 from 2001:db8::1 to 2001:db8::2"])
  })

  test("without ESP: names the family, its module and the way out", () => {
    const error = refusalOf(kernel("2001:db8::1", EPROTONOSUPPORT, "Requested type not found"))
    expect(error).toMatchObject({ code: "kernel-unsupported", cause: { errno: EPROTONOSUPPORT } })
    expect(error.message).toBe(
      "Cannot encrypt with aes256gcm16: this kernel lacks ESP for IPv6 (Requested type not found, EPROTONOSUPPORT)",
    )
    expect(error.hint).toBe(
      "modprobe -a esp6 rfc4106 seqiv, or another kernel; driver: vxlan (--driver vxlan) does without, unencrypted",
    )
  })

  test("without the algorithm: names it, and UDP where that was asked for", () => {
    const error = refusalOf(kernel("192.0.2.1", ENOSYS), { udp: true })
    expect(error.code).toBe("kernel-unsupported")
    expect(error.message).toContain("lacks aes256gcm16 in ESP for IPv4 in UDP (ENOSYS)")
  })

  test("what one may not do is no lack of the kernel", () => {
    expect(refusalOf(kernel("192.0.2.1", EPERM)).code).toBe("permission")
  })
})

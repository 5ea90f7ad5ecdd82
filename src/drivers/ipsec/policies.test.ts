import { describe, expect, test } from "bun:test"
import fc from "fast-check"
import { CIPHERS } from "../../core/encapsulation.ts"
import { keyBytes, protectionOf } from "./ciphers.ts"
import {
  basePolicies,
  hostOfReqid,
  ifIdOf,
  isOfNetwork,
  peerPolicies,
  policyKey,
  reqidOf,
  samePolicy,
} from "./policies.ts"
import { grownStatistics, parseStatistics } from "./statistics.ts"

const SUBNETS = ["10.42.0.0/16", "fd00:42::/64"]
const tunnel = {
  reqid: reqidOf(3, 2),
  local: "192.0.2.1",
  remote: "192.0.2.2",
  spi: 0x10203,
  prefixes: ["10.42.2.0/24", "fd00:42::2:0/112"],
}

test("a reqid tells network and host, and no two are the same", () => {
  const network = fc.integer({ min: 0, max: 15 })
  const host = fc.integer({ min: 1, max: 65_535 })
  fc.assert(
    fc.property(network, host, network, (one, number, other) => {
      expect(hostOfReqid(one, reqidOf(one, number))).toBe(number)
      if (other !== one) expect(hostOfReqid(other, reqidOf(one, number))).toBeUndefined()
    }),
  )
  expect(hostOfReqid(0, 7)).toBeUndefined()
})

describe("a peer's policies", () => {
  const policies = peerPolicies(tunnel, SUBNETS, ifIdOf(3))

  test("exclude none of each other, and are recognized", () => {
    expect(new Set(policies.map(policyKey)).size).toBe(policies.length)
    for (const policy of policies) {
      const found = { ...policy, ifId: policy.ifId ?? 0 }
      expect(isOfNetwork(found, 3, ifIdOf(3), () => true)).toBe(true)
      expect(isOfNetwork(found, 4, ifIdOf(4), () => false)).toBe(false)
    }
  })

  test("bind what comes in to its own prefixes and the network's", () => {
    const inside = policies.filter(
      ({ direction, ifId }) => direction !== "out" && ifId !== undefined,
    )
    expect(
      inside.map(({ source, destination, direction }) => [source, destination, direction]),
    ).toEqual([
      ["10.42.2.0/24", "10.42.0.0/16", "in"],
      ["10.42.2.0/24", "10.42.0.0/16", "fwd"],
      ["fd00:42::2:0/112", "fd00:42::/64", "in"],
      ["fd00:42::2:0/112", "fd00:42::/64", "fwd"],
    ])
    for (const { action } of inside) {
      expect(action).toEqual({
        source: "192.0.2.2",
        destination: "192.0.2.1",
        reqid: tunnel.reqid,
        spi: 0,
      })
    }
  })

  test("block what comes in clear from its prefixes", () => {
    const clear = policies.filter(({ ifId }) => ifId === undefined)
    expect(clear.map(({ direction, action }) => [direction, action])).toEqual([
      ["in", "block"],
      ["fwd", "block"],
      ["in", "block"],
      ["fwd", "block"],
    ])
  })

  test("send nothing without an association", () => {
    const out = peerPolicies({ ...tunnel, spi: undefined }, SUBNETS, ifIdOf(3)).filter(
      ({ direction }) => direction === "out",
    )
    expect(out.map(({ action }) => action)).toEqual(["block", "block"])
  })

  test("differ by the association that is sent on, and by nothing that is the same", () => {
    const again = peerPolicies({ ...tunnel, spi: 1 }, SUBNETS, ifIdOf(3))
    const changed = policies.filter((policy, at) => {
      const other = again[at]
      return other === undefined || !samePolicy(policy, other)
    })
    expect(changed.map(({ direction }) => direction)).toEqual(["out", "out"])
  })
})

test("before any peer the network is blocked, what is local is not", () => {
  const withInterface = basePolicies(SUBNETS, ["10.42.1.0/24"], ifIdOf(0))
  expect(withInterface.map(({ action }) => action)).toEqual(["block", "block"])
  const without = basePolicies(SUBNETS, ["10.42.1.0/24"], undefined)
  expect(without.map(({ destination, action }) => [destination, action])).toEqual([
    ["10.42.1.0/24", "allow"],
    ["10.42.0.0/16", "block"],
    ["fd00:42::/64", "block"],
  ])
  const [allow, block] = without
  expect(allow !== undefined && block !== undefined && allow.priority < block.priority).toBe(true)
  for (const policy of without) {
    expect(isOfNetwork({ ...policy, ifId: 0 }, 0, undefined, () => true)).toBe(true)
  }
})

test("keys are split as the kernel wants them, and one of another length is refused", () => {
  const lengths = CIPHERS.map((cipher) => [cipher, keyBytes(cipher)])
  expect(Object.fromEntries(lengths)).toEqual({
    aes256gcm16: 36,
    aes128gcm16: 20,
    chacha20poly1305: 36,
    "aes128-sha1": 36,
    "aes128-sha256": 48,
    "aes256-sha512": 96,
  })
  const key = Uint8Array.from({ length: 48 }, (_, at) => at)
  expect(protectionOf("aes128-sha256", key)).toEqual({
    encryption: { name: "cbc(aes)", key: key.subarray(0, 16) },
    integrity: { name: "hmac(sha256)", key: key.subarray(16), icvBits: 128 },
  })
  expect(() => protectionOf("aes256gcm16", key)).toThrow("it has 48 bytes, not 36")
})

test("statistics that grew are told with what they mean", () => {
  const before = parseStatistics("XfrmInNoStates          \t2\nXfrmInTmplMismatch \t0\nnonsense\n")
  const after = parseStatistics("XfrmInNoStates 2\nXfrmInTmplMismatch 3\nXfrmInHdrError 9\n")
  expect(grownStatistics(before, after)).toEqual([
    {
      name: "XfrmInTmplMismatch",
      by: 3,
      meaning: "a host sent packets of addresses that are not its own",
    },
  ])
  expect(parseStatistics("").size).toBe(0)
})

import { describe, expect, test } from "bun:test"
import fc from "fast-check"
import { isInterfaceMac, parseMac } from "../../core/mac.ts"
import { readVtep, vtepMac, vtepParameters } from "./vtep.ts"

const OWN = { vni: 1042, port: 4789, family: 4 } as const

describe("vtepMac", () => {
  test("is the same in every release: other hosts would lose a host that changed it", () => {
    expect(vtepMac("host-a", "managed")).toBe("fa:a6:e8:b7:9d:dd")
  })

  test("is one of an interface, locally administered, and differs by host and by network", () => {
    const name = fc.string({ maxLength: 20 })
    fc.assert(
      fc.property(name, name, name, name, (host, network, otherHost, otherNetwork) => {
        const mac = vtepMac(host, network)
        const bytes = parseMac(mac)
        expect(isInterfaceMac(bytes)).toBe(true)
        expect((bytes[0] ?? 0) & 2).toBe(2)
        const same = host === otherHost && network === otherNetwork
        expect(vtepMac(otherHost, otherNetwork) === mac).toBe(same)
      }),
    )
  })

  test("does not mix up where one text ends and the other begins", () => {
    expect(vtepMac("ab", "c")).not.toBe(vtepMac("a", "bc"))
  })
})

describe("readVtep", () => {
  test("takes what another host of the same settings announces", () => {
    const mac = vtepMac("host-b", "managed")
    expect(readVtep(vtepParameters({ ...OWN, mac }), OWN)).toEqual({ mac })
  })

  test("what is left out is as here; a MAC in upper case is the same", () => {
    expect(readVtep({ mac: "0E:00:00:00:00:AB" }, OWN)).toEqual({ mac: "0e:00:00:00:00:ab" })
  })

  test.each([
    [{ vni: "1043" }, 'it uses VNI "1043", and this host 1042'],
    [{ port: "8472" }, 'it uses UDP port "8472", and this host 4789'],
    [{ family: "6" }, 'it uses IP version "6", and this host 4'],
    [{ mac: "01:00:5e:00:00:01" }, 'the MAC of its VTEP is none: "01:00:5e:00:00:01"'],
    [{ mac: "00:00:00:00:00:00" }, 'the MAC of its VTEP is none: "00:00:00:00:00:00"'],
    [{ mac: "0e:00" }, 'the MAC of its VTEP is none: "0e:00"'],
  ])("%j: %s", (more, reason) => {
    const said = { ...vtepParameters({ ...OWN, mac: "0e:00:00:00:00:01" }), ...more }
    expect(readVtep(said, OWN)).toEqual({ reason })
  })

  test("no announcement makes it throw, or speak at length", () => {
    fc.assert(
      fc.property(
        fc.dictionary(fc.constantFrom("mac", "vni", "port", "family", "x"), fc.string()),
        (said) => {
          const result = readVtep(said, OWN)
          if ("reason" in result) expect(result.reason.length).toBeLessThan(300)
        },
      ),
    )
  })
})

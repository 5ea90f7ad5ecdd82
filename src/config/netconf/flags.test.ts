import { expect, test } from "bun:test"
import { parseNetconf } from "./parse.ts"

function parse(keys: object) {
  return parseNetconf({ name: "net", type: "rancher-bridge", ...keys })
}

const flags = [
  "useBridgeIPAsGateway",
  "isGateway",
  "ipMasq",
  "hostNat",
  "hairpinMode",
  "promiscMode",
  "skipBridgeConfigureIP",
  "antiSpoofing",
] as const
test.each(flags)("%s is a flag as text or as truth value", (key) => {
  for (const yes of [true, "true", "True", "yes", "1", 1, "on"]) {
    expect(parse({ [key]: yes }).conf?.[key]).toBe(true)
  }
  for (const no of [false, "false", "FALSE", "no", "0", 0, "off"]) {
    expect(parse({ [key]: no }).conf?.[key]).toBe(false)
  }
  for (const bad of ["maybe", 2, [], {}]) {
    const [problem] = parse({ [key]: bad }).problems
    expect(problem?.severity).toBe("error")
    expect(problem?.message).toStartWith(`${key} must be true or false, is`)
  }
})

test.each(flags)("%s that says nothing is as if it were not there", (key) => {
  const usual = parse({}).conf?.[key]
  for (const nothing of ["", null]) expect(parse({ [key]: nothing }).conf?.[key]).toBe(usual)
})

import { expect, test } from "bun:test"
import { bridgeConfFor, bridgeConfs } from "./bridge_confs.ts"

const bridge = (name: string, br: string) => ({
  file: `${name}.conf`,
  conf: { name, type: "rancher-bridge", bridge: br },
})

test("a configuration is found by its CNI name, or where it is the only one", () => {
  const other = { file: "x.conf", conf: { name: "x", type: "macvlan" } }
  const broken = { file: "y.conf", conf: { name: "y", type: "rancher-bridge", mtu: "no" } }
  const one = { cni: [other, broken, bridge("a", "br0")] }
  expect(bridgeConfs(one).map(({ file }) => file)).toEqual(["a.conf"])
  expect(bridgeConfFor(one, "whatever it was called")?.bridge).toBe("br0")
  const two = { cni: [bridge("a", "br0"), bridge("b", "br1")] }
  expect(bridgeConfFor(two, "b")?.bridge).toBe("br1")
  expect(bridgeConfFor(two, "c")).toBeUndefined()
  expect(bridgeConfs(undefined)).toEqual([])
})

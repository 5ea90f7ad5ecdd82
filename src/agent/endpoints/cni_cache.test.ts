import { expect, test } from "bun:test"
import { mkdtempSync, rmSync, writeFileSync } from "node:fs"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { cachedNames } from "./cni_cache.ts"

const KEY = { network: "rancher-cni-network", containerId: "c1", ifname: "eth0" }

test("the names that a runtime attached a container with are read from what it keeps", () => {
  const directory = mkdtempSync(join(tmpdir(), "cni-cache-"))
  const keep = (content: unknown) =>
    writeFileSync(
      join(directory, "rancher-cni-network-c1-eth0"),
      typeof content === "string" ? content : JSON.stringify(content),
    )
  const labels = [{ key: "io.rancher.stack.name", value: "shop" }]
  const conf = {
    ...{ cniVersion: "1.0.0", name: "rancher-cni-network", type: "rancher-bridge" },
    args: { cni: { labels } },
  }
  const whole = {
    kind: "cniCacheV1",
    ...{ containerId: "c1", ifName: "eth0", networkName: "rancher-cni-network" },
    config: Buffer.from(JSON.stringify(conf)).toString("base64"),
    cniArgs: [
      ["K8S_POD_NAME", "web-1"],
      ["RancherContainerUUID", "u-1"],
    ],
    capabilityArgs: { aliases: { "rancher-cni-network": ["web"] } },
    result: {},
  }
  expect(cachedNames(KEY, directory)).toBeUndefined()
  keep(whole)
  expect(cachedNames(KEY, directory)).toMatchObject({
    ...{ podName: "web-1", uuid: "u-1" },
    labels: { "io.rancher.stack.name": "shop" },
  })
  keep({ ...whole, cniArgs: null, capabilityArgs: null })
  expect(cachedNames(KEY, directory)).toMatchObject({ podName: undefined, aliases: [] })
  for (const broken of ["", "{", "[]", { ...whole, kind: "x" }, { ...whole, config: "!" }]) {
    keep(broken)
    expect(cachedNames(KEY, directory)).toBeUndefined()
  }
  rmSync(directory, { recursive: true })
})

import { describe, expect, test } from "bun:test"
import { validateAgentSettings } from "./agent_settings.ts"
import { defaultClusterSettings } from "./cluster_settings.ts"
import type { ClusterSettings } from "./network.ts"

describe("each key", () => {
  const good: [unknown, Partial<ClusterSettings>][] = [
    [{ cluster: "edge-1" }, { name: "edge-1" }],
    [{ pskFile: "/etc/lariat/psk" }, { pskFile: "/etc/lariat/psk" }],
    [{ allowHosts: ["a", "b"] }, { allowHosts: ["a", "b"] }],
    [{ allowHosts: [] }, { allowHosts: [] }],
    [
      { storeCa: "/ca", storeCert: "/c", storeKey: "/k" },
      { storeCa: "/ca", storeCert: "/c", storeKey: "/k" },
    ],
    [
      { storeUser: "u", storePasswordFile: "/p" },
      { storeUser: "u", storePasswordFile: "/p" },
    ],
    [{ hostTimeout: "1m" }, { hostTimeoutMs: 60_000 }],
    [{ blockReuse: "2d" }, { blockReuseMs: 172_800_000 }],
    [{ rekeyEvery: "1h" }, { rekeyMs: 3_600_000 }],
    [{ cluster: "", pskFile: "", hostTimeout: "", allowHosts: null }, {}],
  ]
  test.each(good)("%j gives %j", (raw, cluster) => {
    const { settings, problems } = validateAgentSettings(raw)
    expect(problems).toEqual([])
    expect(settings.cluster).toEqual({ ...defaultClusterSettings(), ...cluster })
  })

  test.each([
    [{ cluster: "a/b" }, "cluster must be up to 63 letters, digits, dots, hyphens"],
    [{ pskFile: "psk" }, 'pskFile must be an absolute path, is "psk"'],
    [{ allowHosts: "a" }, "allowHosts must be a list of host names or ids"],
    [{ hostTimeout: "1s" }, "hostTimeout must be at least 5 s"],
    [{ rekeyEvery: 5 }, "rekeyEvery must be at least 10 s"],
    [{ blockReuse: "soon" }, "blockReuse must be a duration such as 60s or 5m"],
  ])("%j is refused", (raw, message) => {
    const { settings, problems } = validateAgentSettings(raw)
    expect(problems.map((problem) => problem.message).join()).toContain(message)
    expect(settings.cluster).toEqual(defaultClusterSettings())
  })
})

test("a later file is laid over an earlier one", () => {
  const { settings: base } = validateAgentSettings({ cluster: "a", pskFile: "/p" })
  expect(validateAgentSettings({ cluster: "b" }, base).settings.cluster).toMatchObject({
    name: "b",
    pskFile: "/p",
  })
})

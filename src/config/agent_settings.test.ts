import { describe, expect, test } from "bun:test"
import { defaultAgentSettings, validateAgentSettings } from "./agent_settings.ts"
import type { AgentSettings } from "./network.ts"

test("the defaults are the documented ones", () => {
  expect(defaultAgentSettings()).toEqual({
    stateDir: "/var/lib/lariat",
    runDir: "/run/lariat",
    store: "sqlite",
    cluster: {
      name: "default",
      pskFile: undefined,
      allowHosts: undefined,
      storeCa: undefined,
      storeCert: undefined,
      storeKey: undefined,
      storeUser: undefined,
      storePasswordFile: undefined,
      hostTimeoutMs: 30_000,
      blockReuseMs: 86_400_000,
      rekeyMs: 28_800_000,
    },
    hostIp: undefined,
    hostName: undefined,
    hostLabels: {},
    metadataListen: "169.254.169.250:80",
    dnsListen: "169.254.169.250:53",
    limits: {
      connections: 1024,
      connectionsInAll: 32_768,
      connectionsPerSecond: 1000,
      bytesPerSecond: 250_000,
      queriesPerSecond: 10_000,
    },
    objects: undefined,
    createBridge: "auto",
    quarantineMs: 60_000,
    logLevel: "info",
  })
  expect(validateAgentSettings({})).toEqual({ settings: defaultAgentSettings(), problems: [] })
})

describe("each key", () => {
  const good: [unknown, Partial<AgentSettings>][] = [
    [{ stateDir: "/srv" }, { stateDir: "/srv" }],
    [{ runDir: "/tmp/x" }, { runDir: "/tmp/x" }],
    [{ store: "https://a:2379,https://b:2379" }, { store: "https://a:2379,https://b:2379" }],
    [{ hostIp: "FD00::1" }, { hostIp: "fd00::1" }],
    [{ hostName: "edge-7" }, { hostName: "edge-7" }],
    [{ hostLabels: { a: "x", n: 7, b: true } }, { hostLabels: { a: "x", n: "7", b: "true" } }],
    [{ metadataListen: "127.0.0.1:8080" }, { metadataListen: "127.0.0.1:8080" }],
    [{ dnsListen: "[fd00::1]:53" }, { dnsListen: "[fd00::1]:53" }],
    [{ dnsListen: "none" }, { dnsListen: "none" }],
    [
      { limits: { connections: "0", queriesPerSecond: 50 } },
      { limits: { ...defaultAgentSettings().limits, connections: 0, queriesPerSecond: 50 } },
    ],
    [{ objects: "/etc/lariat/objects.yml" }, { objects: "/etc/lariat/objects.yml" }],
    [{ createBridge: "never" }, { createBridge: "never" }],
    [{ quarantine: "5m" }, { quarantineMs: 300_000 }],
    [{ quarantine: 1500 }, { quarantineMs: 1500 }],
    [{ quarantineMs: "0" }, { quarantineMs: 0 }],
    [{ logLevel: "debug" }, { logLevel: "debug" }],
    [{ stateDir: "", store: null, quarantine: "", createBridge: "" }, {}],
  ]
  test.each(good)("%j gives %j", (raw, settings) => {
    expect(validateAgentSettings(raw)).toEqual({
      settings: { ...defaultAgentSettings(), ...settings },
      problems: [],
    })
  })

  test.each([
    [{ stateDir: "relative" }, 'stateDir must be an absolute path, is "relative"'],
    [{ stateDir: 5 }, "stateDir must be text, is 5"],
    [
      { store: "mysql" },
      'store must be sqlite or the URL of an etcd, such as https://10.0.0.1:2379, is "mysql"',
    ],
    [{ store: "ftp://x" }, "store must be sqlite or the URL of an etcd"],
    [{ hostIp: "10.0.0.256" }, 'hostIp must be an IP address, is "10.0.0.256"'],
    [{ hostLabels: [] }, "hostLabels must be a map from label to text, is an empty list"],
    [{ hostLabels: { a: {} } }, "hostLabels.a must be text, is a map"],
    [{ metadataListen: "169.254.169.250" }, "metadataListen must be an address and a port"],
    [{ metadataListen: "1.2.3.4:70000" }, "metadataListen must be an address and a port"],
    [{ dnsListen: "localhost:53" }, "dnsListen must be an address and a port"],
    [{ objects: "objects.yml" }, 'objects must be an absolute path, is "objects.yml"'],
    [{ createBridge: "yes" }, 'createBridge must be auto, always or never, is "yes"'],
    [{ limits: { connections: -1 } }, "limits.connections must be a whole number from 0"],
    [{ quarantine: "soon" }, "quarantine must be a duration such as 60s or 5m"],
    [{ quarantine: -1 }, "quarantine must be a duration"],
    [{ logLevel: "loud" }, "logLevel must be debug, info, warning or error"],
  ])("%j: %s", (raw, message) => {
    const { settings, problems } = validateAgentSettings(raw)
    expect(settings).toEqual(defaultAgentSettings())
    expect(problems).toHaveLength(1)
    expect(problems[0]?.severity).toBe("error")
    expect(problems[0]?.message).toContain(message)
  })
})

test("an unknown key is a warning, and the other keys count", () => {
  const { settings, problems } = validateAgentSettings({ stateDri: "/x", runDir: "/y" })
  expect(settings.runDir).toBe("/y")
  expect(problems).toEqual([
    {
      severity: "warning",
      path: ["stateDri"],
      message: "stateDri is not a known key, it is ignored",
      hint: "did you mean stateDir",
      atKey: true,
    },
  ])
})

test("a wrong key leaves the others and its own base", () => {
  const base = { ...defaultAgentSettings(), stateDir: "/base", hostLabels: { a: "1", b: "2" } }
  const raw = { stateDir: 7, runDir: "/y", hostLabels: { b: "3" } }
  const { settings } = validateAgentSettings(raw, base)
  expect(settings).toMatchObject({
    stateDir: "/base",
    runDir: "/y",
    hostLabels: { a: "1", b: "3" },
  })
})

test.each([["text"], [[]], [7], [null]])("%j is no map of settings", (raw) => {
  const { settings, problems } = validateAgentSettings(raw)
  expect(settings).toEqual(defaultAgentSettings())
  expect(problems[0]?.message).toStartWith("agent must be a map")
})

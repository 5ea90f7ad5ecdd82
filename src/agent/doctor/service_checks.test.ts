import { describe, expect, test } from "bun:test"
import type { Finding } from "./finding.ts"
import type { ViewedServer, ViewedServices } from "./host_view.ts"
import { checkDns, checkMetadata, checkUpstreams } from "./service_checks.ts"

const good = (at: string): ViewedServer => ({ at, state: "ok" })
const silent = (at: string): ViewedServer => ({ at, state: "silent", fault: "no answer" })
const wrong = (at: string): ViewedServer => ({ at, state: "wrong", fault: "it answers REFUSED" })

function found(services: Partial<ViewedServices>): Finding[] {
  const view = {
    isUplinkList: false,
    services: { dns: good("a"), upstreams: [good("u")], metadata: good("a"), ...services },
  }
  return [checkDns(view), checkUpstreams(view), checkMetadata(view)]
    .flat()
    .filter(({ state }) => state !== "ok")
}

test("where all answer, nothing is wrong", () => {
  expect(found({})).toEqual([])
})

test("without an agent nothing is said: the agent's own check has said it", () => {
  const nobody = { services: undefined, isUplinkList: false }
  expect([checkDns(nobody), checkUpstreams(nobody), checkMetadata(nobody)].flat()).toEqual([])
})

test("DNS that is switched off needs no other nameservers", () => {
  expect(found({ dns: null, upstreams: [silent("u")] })).toEqual([])
})

describe("each fault is an error or a warning, and says what to do next", () => {
  const faults: [string, Partial<ViewedServices>, Partial<Finding>[]][] = [
    ["DNS is silent", { dns: silent("a") }, [{ check: "dns", state: "error" }]],
    ["another answers DNS", { dns: wrong("a") }, [{ check: "dns", state: "error" }]],
    ["the metadata is silent", { metadata: silent("a") }, [{ check: "metadata", state: "error" }]],
    [
      "another answers for the metadata",
      { metadata: wrong("a") },
      [{ check: "metadata", state: "error" }],
    ],
    ["no other nameserver", { upstreams: [] }, [{ check: "upstream", state: "warning" }]],
    [
      "one of two nameservers is silent",
      { upstreams: [silent("192.0.2.1"), good("192.0.2.2")] },
      [{ check: "upstream", state: "warning" }],
    ],
    [
      "all are silent",
      { upstreams: [silent("192.0.2.1"), silent("192.0.2.2")] },
      [
        { check: "upstream", state: "error" },
        { check: "upstream", state: "error" },
      ],
    ],
    [
      "the only one refuses: it may know the names of the site",
      { upstreams: [wrong("192.0.2.1")] },
      [{ check: "upstream", state: "warning" }],
    ],
  ]
  test.each(faults)("%s", (_, services, expected) => {
    const findings = found(services)
    expect(findings).toMatchObject(expected)
    for (const { hint } of findings) expect(hint).toBeDefined()
  })

  test("the one that is meant is named", () => {
    const [finding] = found({ upstreams: [silent("192.0.2.1"), good("192.0.2.2")] })
    expect(finding?.what).toContain("192.0.2.1")
    expect(finding?.what).not.toContain("192.0.2.2")
  })
})

test("a list of all links' servers in place of the resolver that knows their domains is told", () => {
  const services = { dns: good("a"), upstreams: [good("192.0.2.1")], metadata: good("a") }
  const told = (isUplinkList: boolean) => checkUpstreams({ services, isUplinkList })
  expect(told(false)).toEqual([
    { check: "upstream", state: "ok", what: "the nameservers 192.0.2.1 answer" },
  ])
  expect(told(true)).toMatchObject([
    { state: "ok", what: expect.stringContaining("routes by domain") },
  ])
})

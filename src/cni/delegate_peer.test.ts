/** Delegation to a real peer: Debian's host-local (package containernetworking-plugins). */

import { afterAll, expect, test } from "bun:test"
import { existsSync, mkdtempSync, readdirSync, rmSync } from "node:fs"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { runPlugin } from "./plugin.ts"
import type { CniRequest, CniResponse } from "./protocol.ts"
import { parseResult } from "./result_parse.ts"
import type { CniVersion } from "./version.ts"

const PEERS = "/usr/lib/cni"
const dataDir = mkdtempSync(join(tmpdir(), "lariat-host-local-"))
afterAll(() => rmSync(dataDir, { recursive: true }))

/** Calls the plugin with a fake agent; gives its exit code, output and the agent's requests. */
async function call(command: string, cniVersion: CniVersion, response: CniResponse) {
  const ranges = [[{ subnet: "10.42.0.0/24" }], [{ subnet: "fd00:42::/64" }]]
  const config = { cniVersion, name: "n", type: "rancher-bridge", ipam: { type: "host-local" } }
  Object.assign(config.ipam, { dataDir, ranges, routes: [{ dst: "0.0.0.0/0" }] })
  const requests: CniRequest[] = []
  let stdout = ""
  const exit = await runPlugin("bridge", {
    env: {
      CNI_COMMAND: command,
      CNI_CONTAINERID: "c1",
      CNI_NETNS: "/run/netns/c1",
      CNI_IFNAME: "eth0",
      CNI_PATH: PEERS,
    },
    readStdin: () => new TextEncoder().encode(JSON.stringify(config)),
    writeOut: (bytes) => {
      stdout += new TextDecoder().decode(bytes)
    },
    writeErr: () => {},
    call: (_socket, request) => {
      requests.push(JSON.parse(new TextDecoder().decode(request)))
      return new TextEncoder().encode(`${JSON.stringify(response)}\n`)
    },
  })
  return { exit, stdout, requests }
}

const taken = () => readdirSync(join(dataDir, "n")).filter((name) => /^10\.|^fd00/.test(name))

test
  .skipIf(!existsSync(join(PEERS, "host-local")))
  .each(["0.2.0", "0.3.1", "0.4.0", "1.0.0"] as const)(
  "host-local leases and takes back in CNI %s",
  async (version) => {
    const good = { exit: 0, stdout: "{}", stderr: "" }
    const { exit, requests } = await call("ADD", version, good)
    expect(exit).toBe(0)
    expect(taken()).toHaveLength(2)
    const result = parseResult(requests[0]?.ipamResult, "the result of host-local", version)
    expect(result.ips.map(({ gateway }) => gateway)).toEqual(["10.42.0.1", "fd00:42::1"])
    expect(result.ips[0]?.address).toMatch(/^10\.42\.0\.\d+\/24$/)
    expect(result.routes).toEqual([{ dst: "0.0.0.0/0" }])

    expect((await call("DEL", version, good)).exit).toBe(0)
    expect(taken()).toEqual([])

    const bad = { exit: 1, stdout: '{"code":102,"msg":"Cannot attach"}', stderr: "" }
    expect((await call("ADD", version, bad)).exit).toBe(1)
    expect(taken()).toEqual([])
  },
)

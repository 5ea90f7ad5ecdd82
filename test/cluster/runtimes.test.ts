/** The same host program under Bun and Deno, against an etcd with certificates and a password. */
import { afterAll, beforeAll, expect, test } from "bun:test"
import { join } from "node:path"
import { run } from "../clients/program.ts"
import { Scene } from "./scene.ts"

const PASSWORD = "pass phrase"
const PROGRAM = join(import.meta.dir, "runtime_program.ts")
const MODULES = join(import.meta.dir, "../../node_modules/.bin")
let scene: Scene

beforeAll(async () => {
  scene = await Scene.begin({ tls: true, rootPassword: PASSWORD })
})
afterAll(() => scene?.end())

const seen = {
  created: [true, false],
  reachable: true,
  left: ["1"],
  closed: "store-away",
  heard: ["1", "here", null, null],
  listings: 1,
}

for (const [name, argv] of [
  ["bun", [join(MODULES, "bun"), PROGRAM]],
  ["deno", [join(MODULES, "deno"), "run", "-A", PROGRAM]],
] as const) {
  test(`under ${name}`, async () => {
    const { urls, certificates } = scene.cluster
    if (certificates === undefined) throw new Error("no certificates")
    const { ca, clientCert, clientKey } = certificates
    const output = await run([
      ...argv,
      ...[urls.join(","), PASSWORD, ca, clientCert, clientKey, `/${name}/`],
    ])
    const result = JSON.parse(output)
    expect(result.etcd).toEqual(seen)
    expect(result.refused).toContain("http://127.0.0.1:29999: connection refused")
  })
}

/** What must hold for every container runtime that attaches through Lariat. */
import { afterAll, beforeAll, describe, expect, test } from "bun:test"
import { mkdtempSync, rmSync } from "node:fs"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { makeImage } from "./image.ts"
import { get, lookInside, ping } from "./inside.ts"
import { type Agent, linkPlugins, startAgent } from "./lariat.ts"
import { run, waitFor } from "./program.ts"
import {
  type Dependencies,
  type NetworkList,
  type Runtime,
  withContainer,
  writeNetwork,
} from "./runtime.ts"

/** `ctr` reads these two folders and no others; every runtime is given them. */
export const PLUGIN_DIRECTORY = "/opt/cni/bin"
export const NETWORK_DIRECTORY = "/etc/cni/net.d"

/** The seed's plugin configuration, with an explicit MTU that its overhead is taken from. */
export const RANCHER_BRIDGE = {
  type: "rancher-bridge",
  bridge: "docker0",
  bridgeSubnet: "10.42.0.0/16",
  isDefaultGateway: true,
  hostNat: true,
  hairpinMode: true,
  mtu: 1500,
  linkMTUOverhead: 98,
  ipam: { type: "rancher-cni-ipam" },
}

/** Where the metadata API and DNS are. */
const SERVICE_ADDRESS = "169.254.169.250"

/** A network of one plugin. */
export function networkOf(plugin: Readonly<Record<string, unknown>>): NetworkList {
  return { cniVersion: "0.4.0", name: "rancher-cni-network", plugins: [plugin] }
}

/** Runs the same tests over one runtime: first with Debian's bridge, then with ours. */
export function describeRuntime(
  name: string,
  setUp: (surroundings: Dependencies) => Promise<Runtime>,
): void {
  describeControl(name, setUp)
  describe(`${name} with rancher-bridge`, () => {
    const context = prepare(setUp, networkOf(RANCHER_BRIDGE), { agent: true })

    test("gives a container address, gateway and MTU", async () => {
      await withContainer(context.runtime(), "one", async (container) => {
        const view = await lookInside(container)
        expect(view.address).toMatch(/^10\.42\.\d+\.\d+$/)
        expect(view).toMatchObject({ prefix: 16, gateway: "10.42.0.1", mtu: 1402 })
        await ping(container, "10.42.0.1")
      })
      await expectNothingLeft(context.agent())
    })

    test("lets two containers speak", async () => {
      await withContainer(context.runtime(), "left", async (left) => {
        await withContainer(context.runtime(), "right", async (right) => {
          const views = [await lookInside(left), await lookInside(right)]
          expect(views[0]?.address).not.toBe(views[1]?.address)
          await ping(left, views[1]?.address ?? "")
          await ping(right, views[0]?.address ?? "")
        })
      })
      await expectNothingLeft(context.agent())
    })

    test("starts and ends containers side by side", async () => {
      const names = ["a", "b", "c", "d"]
      const started = names.map((name) => withContainer(context.runtime(), name, lookInside))
      const views = await Promise.all(started)
      expect(new Set(views.map((view) => view.address)).size).toBe(names.length)
      await expectNothingLeft(context.agent())
    })

    test("tells a container who it is", async () => {
      await withContainer(context.runtime(), "who", async (container) => {
        const self = "http://169.254.169.250/latest/self"
        const known = context.runtime().knownAs("who")
        expect(await get(container, `${self}/container/name`)).toBe(known)
        const view = await lookInside(container)
        expect(await get(container, `${self}/container/primary_ip`)).toBe(view.address)
      })
      await expectNothingLeft(context.agent())
    })

    test("lets a container find another one by its name", async () => {
      const { knownAs, writesResolvConf = false } = context.runtime()
      await withContainer(context.runtime(), "asks", async (asks) => {
        await withContainer(context.runtime(), "peer", async (peer) => {
          const { address } = await lookInside(peer)
          const name = `${knownAs("peer")}.rancher.internal`
          const server = writesResolvConf ? [] : [SERVICE_ADDRESS]
          const said = await asks.exec(["timeout", "5", "nslookup", name, ...server])
          expect(said).toContain(SERVICE_ADDRESS)
          expect(said).toContain(address)
        })
      })
      await expectNothingLeft(context.agent())
    })

    test("leaves nothing after a container that did not start", async () => {
      await context.runtime().startBroken("broken")
      await expectNothingLeft(context.agent())
    })
  })
}

/** The same runtime with Debian's plugins: when this fails, the fault is not Lariat's. */
function describeControl(name: string, setUp: (surroundings: Dependencies) => Promise<Runtime>) {
  describe(`${name} with Debian's bridge`, () => {
    const bridge = {
      type: "bridge",
      bridge: "control0",
      isGateway: true,
      mtu: 1402,
      ipam: { type: "host-local", subnet: "10.99.0.0/16", routes: [{ dst: "0.0.0.0/0" }] },
    }
    const context = prepare(setUp, networkOf(bridge), { agent: false })

    test("gives a container address, gateway and MTU", async () => {
      await withContainer(context.runtime(), "control", async (container) => {
        const view = await lookInside(container)
        expect(view.address).toMatch(/^10\.99\./)
        expect(view).toMatchObject({ prefix: 16, gateway: "10.99.0.1", mtu: 1402 })
        await ping(container, "10.99.0.1")
      })
      await context.runtime().startBroken("broken")
      await waitFor("every port to go", async () =>
        (await portsOf("control0")).length === 0 ? true : undefined,
      )
    })
  })
}

/** What {@link prepare} made, for the tests of one `describe`. */
export interface Context {
  runtime(): Runtime
  agent(): Agent
}

/** Sets image, plugins, network, agent and runtime up before the tests, and ends them after. */
export function prepare(
  setUp: (surroundings: Dependencies) => Promise<Runtime>,
  network: NetworkList,
  options: { agent: boolean },
): Context {
  const directory = mkdtempSync(join(tmpdir(), "clients-"))
  let runtime: Runtime | undefined
  let agent: Agent | undefined

  beforeAll(async () => {
    rmSync(PLUGIN_DIRECTORY, { recursive: true, force: true })
    linkPlugins(PLUGIN_DIRECTORY)
    writeNetwork(NETWORK_DIRECTORY, network)
    const image = await makeImage(directory)
    if (options.agent) agent = await startAgent(join(directory, "lariat"))
    runtime = await setUp({
      directory,
      image,
      pluginDirectory: PLUGIN_DIRECTORY,
      networkDirectory: NETWORK_DIRECTORY,
      network,
    })
  }, 60_000)

  afterAll(async () => {
    await runtime?.stop()
    await agent?.stop()
  }, 60_000)

  const made = <T>(thing: T | undefined): T => {
    if (thing === undefined) throw new Error("It was not set up")
    return thing
  }
  return { runtime: () => made(runtime), agent: () => made(agent) }
}

/** Links the plugins and runs an agent around the tests of a file that brings its own client. */
export function prepareAgent(): () => Agent {
  const directory = mkdtempSync(join(tmpdir(), "clients-"))
  let agent: Agent | undefined

  beforeAll(async () => {
    rmSync(PLUGIN_DIRECTORY, { recursive: true, force: true })
    linkPlugins(PLUGIN_DIRECTORY)
    agent = await startAgent(directory)
  }, 60_000)

  afterAll(async () => {
    await agent?.stop()
  }, 60_000)

  return () => {
    if (agent === undefined) throw new Error("The agent was not started")
    return agent
  }
}

/** Waits until no endpoint, no port of the bridge and no parked link is there any more. */
export async function expectNothingLeft(agent: Agent): Promise<void> {
  expect(await agent.endpoints()).toEqual([])
  await waitFor("every link to go", async () => {
    const links = JSON.parse(
      await run(["ip", "-json", "link", "show", "type", "veth"]),
    ) as unknown[]
    return links.length === 0 ? true : undefined
  })
  expect(await portsOf("docker0")).toEqual([])
}

async function portsOf(bridge: string): Promise<readonly unknown[]> {
  return JSON.parse(await run(["ip", "-json", "link", "show", "master", bridge])) as unknown[]
}

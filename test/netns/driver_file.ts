/** Network drivers' files in the form of Rancher's catalogue, and what must hold of every kind. */
import { expect } from "bun:test"
import { hasErrors } from "../../src/config/diagnostic.ts"
import { waitFor } from "../clients/program.ts"
import { fixture, load } from "../fixtures/config/loading.ts"
import { getMetadata } from "./container.ts"
import { askFrom, dataOf } from "./dns_client.ts"
import { type Conf, pings } from "./lab.ts"

/** What a user answers to the catalogue's questions. */
const ANSWERS: Readonly<Record<string, string>> = {
  ROUTER_TAG: "v1",
  IPSEC_REPLAY_WINDOW_SIZE: "1024",
  RANCHER_IPSEC_PSK: "",
  RANCHER_DEBUG: "false",
  DOCKER_BRIDGE: "docker0",
  HOST_PORTS: "true",
  SUBNET: "10.42.0.0/16",
  SUBNET_PREFIX: "16",
  SUBNET_START_ADDRESS: "",
  SUBNET_END_ADDRESS: "",
  RANCHER_HAIRPIN_MODE: "false",
  RANCHER_PROMISCUOUS_MODE: "true",
  MTU: "1500",
}

/** A network driver's file with its answers filled in. */
export interface DriverFile {
  readonly yaml: string
  /** Its only network's configuration, as the agent would hand it to a runtime. */
  readonly conf: Conf
}

/** Reads a file of `test/fixtures/config`, on a host with these labels. */
export function driverFile(
  name: string,
  hostLabels: Readonly<Record<string, string>> = {},
): DriverFile {
  const text = fixture(`config/${name}.yml`)
  const yaml = text.replace(/\$(?:(\w+)|\{(\w+)\})/g, (said, bare, braced) => {
    return ANSWERS[bare ?? braced] ?? said
  })
  const agent = JSON.stringify({ agent: { hostLabels } })
  const { networks, diagnostics } = load({ [name]: yaml, "agent.yml": agent })
  const conf = networks[0]?.cni[0]?.conf
  if (conf === undefined || hasErrors(diagnostics)) throw new Error(`${name}.yml has no network`)
  return { yaml, conf: { cniVersion: "0.2.0", ...conf } }
}

/** A container of a host: its id, which is its name too, its namespace, and its address. */
export interface Reachable {
  readonly id: string
  readonly netns: string
  readonly address: string
}

/** Two containers reach each other, know themselves by the metadata, and each other by DNS. */
export async function expectReach(...pair: readonly [Reachable, Reachable]): Promise<void> {
  const [first, second] = pair
  for (const [one, other] of [
    [first, second],
    [second, first],
  ] as const) {
    // Another host hears of a container a moment after its attach.
    const reached = async () => ((await pings(one.netns, other.address)) ? true : undefined)
    await waitFor(`${one.netns} to reach ${other.netns}`, reached, 30_000)
    const { body } = await getMetadata(one.netns, "/latest/self/container/name")
    expect(body).toBe(one.id)
    const found = async () => {
      const data = dataOf(await askFrom(one.netns, `${other.id}.rancher.internal`))
      return data.length > 0 ? data : undefined
    }
    expect(await waitFor(`the name ${other.id}`, found)).toEqual([other.address])
  }
}

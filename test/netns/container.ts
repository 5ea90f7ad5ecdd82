/** Containers of a lab: a namespace each, attached by the plugin. */
import { expect } from "bun:test"
import { inNetns, type Lab, ownLinks, type PluginCall, type PluginJson } from "./lab.ts"

/** A container that was attached. */
export interface Container {
  /** Container id and name of the namespace. */
  readonly id: string
  /** The first address without prefix length. */
  readonly address: string
  readonly result: PluginJson
}

/** Makes a namespace and attaches it. */
export async function attached(lab: Lab, id: string, call: PluginCall = {}): Promise<Container> {
  await lab.netns(id)
  return await attach(lab, id, call)
}

/** Attaches a namespace that is there. */
export async function attach(lab: Lab, id: string, call: PluginCall = {}): Promise<Container> {
  const result = await lab.add(id, call)
  return { id, address: addressOf(result), result }
}

/** Detaches a container and deletes its namespace. */
export async function removed(lab: Lab, id: string, call: PluginCall = {}): Promise<void> {
  await lab.del(id, call)
  await lab.deleteNetns(id)
}

/** The first address of a result of any version, without prefix length. */
export function addressOf(result: PluginJson): string {
  const { ip4 } = result as { ip4?: { ip: string } }
  const [address = ""] = (result.ips?.[0]?.address ?? ip4?.ip ?? "").split("/")
  if (address === "") throw new Error(`no address in ${JSON.stringify(result)}`)
  return address
}

/** No row, no link of ours, nothing half done. */
export async function expectNothingLeft(lab: Lab): Promise<void> {
  expect(await lab.endpoints()).toEqual([])
  expect(await ownLinks()).toEqual([])
  expect((await lab.status()).endpoints).toEqual({ attached: 0, attaching: 0, detaching: 0 })
}

/** An HTTP answer. */
export interface Answer {
  readonly status: number
  readonly body: string
}

/** Asks the metadata API from inside a namespace, with nothing but bash. */
export async function getMetadata(
  netns: string,
  path: string,
  accept = "text/plain",
): Promise<Answer> {
  const script =
    "exec 3<>/dev/tcp/169.254.169.250/80 && " +
    'printf "GET %s HTTP/1.0\\r\\nHost: 169.254.169.250\\r\\nAccept: %s\\r\\n\\r\\n" "$1" "$2" >&3 && ' +
    "timeout 5 cat <&3"
  const result = await inNetns(netns, "timeout", "10", "bash", "-c", script, "bash", path, accept)
  const [head = "", ...body] = result.stdout.split("\r\n\r\n")
  const status = Number(/^HTTP\/1\.[01] (\d{3})/.exec(head)?.[1])
  if (Number.isNaN(status)) throw new Error(`no answer: ${result.stdout}${result.stderr}`)
  return { status, body: body.join("\r\n\r\n") }
}

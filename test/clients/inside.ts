/** What a container sees of its network, read with busybox from inside. */
import type { RunningContainer } from "./runtime.ts"

/** The first interface's view: IPv4 address with prefix, MTU, default gateway. */
export interface InsideView {
  readonly address: string
  readonly prefix: number
  readonly mtu: number
  readonly gateway: string | undefined
}

/** Reads address, MTU and default gateway of eth0. */
export async function lookInside(container: RunningContainer): Promise<InsideView> {
  const link = await container.exec(["ip", "-4", "addr", "show", "dev", "eth0"])
  const routes = await container.exec(["ip", "-4", "route", "show"])
  const inet = /inet (\d+\.\d+\.\d+\.\d+)\/(\d+)/.exec(link)
  return {
    address: inet?.[1] ?? "",
    prefix: Number(inet?.[2]),
    mtu: Number(/mtu (\d+)/.exec(link)?.[1]),
    gateway: /^default via (\S+)/m.exec(routes)?.[1],
  }
}

/** Sends one echo request and throws when no answer comes. */
export async function ping(container: RunningContainer, address: string): Promise<void> {
  await container.exec(["ping", "-c", "1", "-W", "5", address])
}

/** GETs a URL and gives the body. (The bound is not wget's own -T, with which Debian's crashes.) */
export function get(container: RunningContainer, url: string): Promise<string> {
  return container.exec(["timeout", "5", "wget", "-q", "-O", "-", url])
}

/** Addresses that somebody unknown has on the bridge are not given out. */
import { afterAll, beforeAll, expect, test } from "bun:test"
import { run, waitFor } from "../clients/program.ts"
import { attached, expectNothingLeft, removed } from "./container.ts"
import { ipIn, Lab } from "./lab.ts"

let lab: Lab
beforeAll(async () => {
  await run(["ip", "link", "add", "docker0", "up", "type", "bridge"])
  await run(["ip", "address", "add", "10.42.0.1/16", "dev", "docker0"])
  for (const n of [2, 4]) await somebody(n)
  lab = await Lab.start({ settings: { createBridge: "always", quarantine: "1s" } })
})
afterAll(() => lab.close())

/** A container of another engine's. */
async function somebody(n: number): Promise<void> {
  const name = `else${n}`
  await run(["ip", "netns", "add", name])
  await run(["ip", "link", "add", `veth${n}`, "type", "veth", "peer", "eth0", "netns", name])
  await run(["ip", "link", "set", `veth${n}`, "master", "docker0", "up"])
  await ipIn(name, "link", "set", "eth0", "up")
  await ipIn(name, "address", "add", `10.42.0.${n}/16`, "dev", "eth0")
}

/** Until the agent has asked for who has an address. */
function askedFor(address: string) {
  return waitFor(
    `an answer of ${address}`,
    async () =>
      (await run(["ip", "neigh", "show", address, "dev", "docker0"])).includes("lladdr") ||
      undefined,
  )
}

test("whoever nobody talked to is found ahead of the attach", async () => {
  await askedFor("10.42.0.2")
  await askedFor("10.42.0.4")
  const addresses: string[] = []
  for (const id of ["a", "b"]) addresses.push((await attached(lab, id)).address)
  expect(addresses).toEqual(["10.42.0.3", "10.42.0.5"])
  const repairs = (await lab.status()).repairs.map(({ what }) => what)
  expect(repairs.join("\n")).toMatch(
    /10\.42\.0\.2 was not given out: \S+ behind veth2 of docker0 has it/,
  )
})

test("one that is asked for is refused, naming who has it", async () => {
  await lab.netns("c")
  const { json } = await lab.plugin("ADD", { id: "c", args: "IP=10.42.0.4" })
  expect(json.msg).toMatch(/10\.42\.0\.4 of network \S+: \S+ behind veth4 of docker0 has it/)
  await lab.deleteNetns("c")
})

test("one whose holder has gone is given, and a container's own once it is back", async () => {
  await run(["ip", "link", "delete", "veth4"])
  expect((await attached(lab, "d", { args: "IP=10.42.0.4" })).address).toBe("10.42.0.4")
  for (const id of ["a", "b", "d"]) await removed(lab, id)
  expect((await attached(lab, "e", { args: "IP=10.42.0.4" })).address).toBe("10.42.0.4")
  await removed(lab, "e")
  await expectNothingLeft(lab)
})

/** The disk of the state directory fills up: calls fail, and nothing stays behind when it has room. */
import { afterAll, beforeAll, expect, test } from "bun:test"
import { rmSync, statfsSync, writeFileSync } from "node:fs"
import { join } from "node:path"
import { run, waitFor } from "../clients/program.ts"
import { attached, expectNothingLeft } from "./container.ts"
import { askCni } from "./control_call.ts"
import { Lab, pings, SEED_CONF } from "./lab.ts"

const DISK_BYTES = 8 << 20
/** Of the tmpfs: what is free comes in these. */
const PAGE = 4096

let lab: Lab
beforeAll(async () => {
  lab = await Lab.start({ settings: { createBridge: "always", quarantine: "1m" } })
  await lab.stopAgent()
  await run(["mount", "-t", "tmpfs", "-o", `size=${DISK_BYTES},mode=0700`, "tmpfs", lab.stateDir])
  await lab.startAgent()
})
afterAll(async () => {
  await lab.stopAgent()
  await run(["umount", lab.stateDir])
  await lab.close()
})

const ballast = () => join(lab.stateDir, "ballast")
const empty = () => rmSync(ballast(), { force: true })

/** Leaves so many pages of the disk free. */
function fill(pages: number): void {
  empty()
  const { bavail, bsize } = statfsSync(lab.stateDir)
  writeFileSync(ballast(), new Uint8Array(bavail * bsize - pages * PAGE))
}

/** One call without a process for it, so that many places of the log are tried in no time. */
async function call(command: string, id: string) {
  const netns = `/run/netns/${id}`
  const answer = await askCni(lab.socket, command, { id, netns, ifname: "eth0" }, SEED_CONF)
  return { failed: answer.exit !== 0, text: answer.stdout }
}

const problems = async () => (await lab.status()).problems.map(({ what }) => what).join("\n")

test("an ADD that breaks off wherever leaves its key and its address as they were", async () => {
  await lab.netns("c")
  let failures = 0
  const kept = await attached(lab, "kept")
  for (let round = 0; round < 150; round++) {
    // The log of the database ends at another place of a page each time.
    fill(round % 4)
    const first = await call("ADD", "c")
    if (first.failed) {
      failures += 1
      expect(first.text).toContain("the disk is full")
    }
    empty()
    if (first.failed) {
      expect((await call("ADD", "c")).text).toContain('"ips"')
    }
    expect((await call("DEL", "c")).text).toBe("")
    expect((await lab.endpoints()).map(({ containerId }) => containerId)).toEqual(["kept"])
  }
  expect(failures).toBeGreaterThan(4)
  expect(await pings("kept", "10.42.0.1")).toBe(true)
  expect(kept.address).toStartWith("10.42.")
  await lab.deleteNetns("c")
})

test("a DEL that cannot be written down says so, stands in status and is done by itself", async () => {
  await lab.netns("d")
  await call("ADD", "d")
  const used = async () => (await lab.status()).networks[0]?.subnets[0]?.used
  expect(await used()).toBe(2)
  // The log has room of its own, and may begin anew in it.
  const refused = await waitFor("a refusal", async () => {
    fill(0)
    const answer = await call("DEL", "d")
    if (answer.failed) return answer.text
    empty()
    await call("ADD", "d")
    return undefined
  })
  expect(refused).toContain("the disk is full")
  expect(await problems()).toContain("d/eth0 of network rancher-cni-network cannot be taken down")
  // Its row has it still.
  expect(await used()).toBe(2)
  empty()
  await waitFor(
    "the detach",
    async () => ((await lab.endpoints()).length === 1 ? true : undefined),
    30_000,
  )
  expect(await problems()).not.toContain("cannot be taken down")
  expect(await used()).toBe(1)
  await lab.deleteNetns("d")
  await lab.del("kept")
  await lab.deleteNetns("kept")
  await expectNothingLeft(lab)
})

test("an agent starts on a full disk", async () => {
  empty()
  await attached(lab, "one")
  await lab.stopAgent()
  fill(0)
  await lab.startAgent()
  expect((await lab.endpoints()).map(({ containerId }) => containerId)).toEqual(["one"])
  empty()
  await lab.del("one")
  await lab.deleteNetns("one")
  await expectNothingLeft(lab)
})

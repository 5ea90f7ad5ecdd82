/** Another firewall whose FORWARD is at DROP, by iptables of an nft back end as ufw and Docker have. */
import { afterAll, afterEach, beforeAll, expect, test } from "bun:test"
import { run, waitFor } from "../clients/program.ts"
import { attached, removed } from "./container.ts"
import { Lab, pings, SEED } from "./lab.ts"
import { DUAL_CONF, dualStackYaml } from "./networks.ts"
import { OUTSIDE_IP, OUTSIDE_IP6, wireOutside } from "./outside.ts"

let lab: Lab
beforeAll(async () => {
  lab = await Lab.start({ configs: [SEED, dualStackYaml()] })
  await wireOutside(lab)
})
afterAll(() => lab.close())
afterEach(async () => {
  for (const command of ["iptables", "ip6tables"]) {
    await run([command, "-P", "FORWARD", "ACCEPT"])
    await run([command, "-F"])
    await run([command, "-X"])
  }
})

const reload = () => process.kill(lab.pid, "SIGHUP")
const listed = (command: string, chain: string) => run([command, "-S", chain])
const passes = (words: RegExp, command = "iptables", chain = "FORWARD") =>
  waitFor("a rule", async () => (words.test(await listed(command, chain)) ? true : undefined))

test("ours pass a FORWARD at DROP, before what rejects, and status names the chain", async () => {
  await attached(lab, "one", { conf: DUAL_CONF })
  for (const command of ["iptables", "ip6tables"]) {
    await run([command, "-P", "FORWARD", "DROP"])
    await run([command, "-A", "FORWARD", "-j", "REJECT"])
  }
  expect(await pings("one", OUTSIDE_IP)).toBe(false)
  reload()
  await passes(/-s 10\.52\.0\.0\/16/)
  for (const outside of [OUTSIDE_IP, OUTSIDE_IP6]) expect(await pings("one", outside)).toBe(true)
  const repairs = (await lab.status()).repairs.map(({ what }) => what)
  expect(repairs).toContain(
    "containers may pass chain FORWARD of table ip filter, which drops what it does not know",
  )
  // The last word of its owner is kept, and ours is first.
  expect((await listed("iptables", "FORWARD")).trim().split("\n").at(-1)).toMatch(/-j REJECT/)
  await removed(lab, "one", { conf: DUAL_CONF })
})

test("what somebody flushes is put back, and what is open again is left as it was", async () => {
  await run(["iptables", "-P", "FORWARD", "DROP"])
  reload()
  await passes(/-d 10\.42\.0\.0\/16/)
  await run(["iptables", "-F", "FORWARD"])
  // The regular check.
  await passes(/-d 10\.42\.0\.0\/16/)
  await run(["iptables", "-P", "FORWARD", "ACCEPT"])
  reload()
  await waitFor("nothing of ours", async () =>
    (await listed("iptables", "FORWARD")).includes("10.42") ? undefined : true,
  )
}, 40_000)

test("Docker's chain for its users is taken where it is", async () => {
  await run(["iptables", "-N", "DOCKER-USER"])
  await run(["iptables", "-P", "FORWARD", "DROP"])
  await run(["iptables", "-A", "FORWARD", "-j", "DOCKER-USER"])
  reload()
  await passes(/-s 10\.42\.0\.0\/16/, "iptables", "DOCKER-USER")
  expect(await listed("iptables", "FORWARD")).not.toContain("10.42")
  await attached(lab, "two")
  expect(await pings("two", OUTSIDE_IP)).toBe(true)
  await removed(lab, "two")
})

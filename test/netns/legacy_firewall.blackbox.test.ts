/** Another firewall whose FORWARD is at DROP, by the legacy iptables that older hosts have. */
import { afterAll, afterEach, beforeAll, expect, test } from "bun:test"
import { readFileSync, realpathSync } from "node:fs"
import { run, waitFor } from "../clients/program.ts"
import { attached, removed } from "./container.ts"
import { Lab, pings, SEED } from "./lab.ts"
import { DUAL_CONF, dualStackYaml } from "./networks.ts"
import { OUTSIDE_IP, OUTSIDE_IP6, wireOutside } from "./outside.ts"

const PROGRAMS = ["iptables-legacy", "ip6tables-legacy"]

let lab: Lab
beforeAll(async () => {
  lab = await Lab.start({ configs: [SEED, dualStackYaml()] })
  await wireOutside(lab)
})
afterAll(() => lab.close())
afterEach(async () => {
  for (const program of PROGRAMS) {
    await run([program, "-P", "FORWARD", "ACCEPT"])
    await run([program, "-F"])
    await run([program, "-X"])
  }
})

const reload = () => process.kill(lab.pid, "SIGHUP")
const listed = (chain = "FORWARD", program = "iptables-legacy") => run([program, "-S", chain])
const count = async (words: RegExp, chain?: string, program?: string) =>
  ((await listed(chain, program)).match(words) ?? []).length
const holds = (words: RegExp, chain?: string, program?: string) =>
  waitFor(`${words}`, async () => ((await count(words, chain, program)) > 0 ? true : undefined))
const holdsNot = (words: RegExp) =>
  waitFor(`no ${words}`, async () => ((await count(words)) === 0 ? true : undefined))

test("where nobody uses legacy tables, none is made", async () => {
  reload()
  await lab.status()
  for (const name of ["ip_tables_names", "ip6_tables_names"]) {
    expect(readFileSync(`/proc/net/${name}`, "utf8")).toBe("")
  }
})

test("ours pass a FORWARD at DROP, before what rejects, and status names the chain", async () => {
  await attached(lab, "one", { conf: DUAL_CONF })
  for (const program of PROGRAMS) {
    await run([program, "-P", "FORWARD", "DROP"])
    await run([program, "-A", "FORWARD", "-j", "REJECT"])
  }
  expect(await pings("one", OUTSIDE_IP)).toBe(false)
  reload()
  await holds(/-d 10\.52\.0\.0\/16/)
  await holds(/-d fd00:52::\/64/, "FORWARD", "ip6tables-legacy")
  for (const outside of [OUTSIDE_IP, OUTSIDE_IP6]) expect(await pings("one", outside)).toBe(true)
  const repairs = (await lab.status()).repairs.map(({ what }) => what)
  expect(repairs).toContain(
    "containers may pass chain FORWARD of the legacy iptables table filter, which drops what it does not know",
  )
  // The last word of its owner is kept, and ours is said once.
  expect((await listed()).trim().split("\n").at(-1)).toMatch(/-j REJECT/)
  reload()
  await lab.status()
  expect(await count(/--comment "lariat: from 10\.52\.0\.0\/16"/g)).toBe(1)
  await removed(lab, "one", { conf: DUAL_CONF })
})

test("a rule that rejects all that is left is as good as a policy, in a chain of its own too", async () => {
  await run(["iptables-legacy", "-N", "firewall"])
  await run(["iptables-legacy", "-A", "firewall", "-p", "icmp", "-i", "nowhere", "-j", "ACCEPT"])
  await run(["iptables-legacy", "-A", "firewall", "-j", "REJECT"])
  await run(["iptables-legacy", "-A", "FORWARD", "-j", "firewall"])
  reload()
  await holds(/-s 10\.42\.0\.0\/16/)
})

test("what somebody flushes is put back, and what is open again is left as it was", async () => {
  await run(["iptables-legacy", "-P", "FORWARD", "DROP"])
  reload()
  await holds(/-d 10\.42\.0\.0\/16/)
  await run(["iptables-legacy", "-F", "FORWARD"])
  // The regular check.
  await holds(/-d 10\.42\.0\.0\/16/)
  await run(["iptables-legacy", "-P", "FORWARD", "ACCEPT"])
  reload()
  await holdsNot(/lariat/)
}, 40_000)

test("Docker's chain for its users is taken where it is", async () => {
  await run(["iptables-legacy", "-N", "DOCKER-USER"])
  await run(["iptables-legacy", "-P", "FORWARD", "DROP"])
  await run(["iptables-legacy", "-A", "FORWARD", "-j", "DOCKER-USER"])
  await attached(lab, "two")
  reload()
  await holds(/-d 10\.42\.0\.0\/16/, "DOCKER-USER")
  expect(await count(/lariat/)).toBe(0)
  expect(await pings("two", OUTSIDE_IP)).toBe(true)
  await removed(lab, "two")
})

test("without a program, status and doctor name the chain and the commands", async () => {
  await run(["iptables-legacy", "-P", "FORWARD", "DROP"])
  // It is there, and cannot be executed; iptables of an nft back end is not taken for it.
  const program = realpathSync("/usr/sbin/iptables-legacy")
  await run(["mount", "--bind", "/dev/null", program])
  try {
    reload()
    const problem = await waitFor("a problem", async () =>
      (await lab.status()).problems.find(({ what }) => what.includes("chain FORWARD")),
    )
    expect(problem.what).toContain("there is no iptables-legacy")
    expect(problem.hint).toContain("iptables-legacy -I FORWARD -s 10.42.0.0/16")
    expect((await lab.lariat("doctor")).stdout).toContain("chain FORWARD of the legacy")
  } finally {
    await run(["umount", program])
  }
  reload()
  await holds(/-d 10\.42\.0\.0\/16/)
  await waitFor("no problem", async () => {
    const { problems } = await lab.status()
    return problems.some(({ what }) => what.includes("chain FORWARD")) ? undefined : true
  })
})

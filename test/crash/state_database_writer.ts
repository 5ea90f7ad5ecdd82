/**
 * What the state database's crash test kills. Writes to the state database named on its command
 * line until it is killed, and tells on standard output, a line each, what was done for good.
 */

import { writeSync } from "node:fs"
import { StateDatabase } from "../../src/agent/state/state_database.ts"

/** So many endpoints at most, from twice as many addresses. */
const MOST = 20

const [, , path = ""] = process.argv
const stateDatabase = StateDatabase.open(path, { bootId: "boot" })
const say = (line: string): number => writeSync(1, `${line}\n`)
say("ready")

const leased = new Set(stateDatabase.leases("n"))
let live = stateDatabase.endpoints().map(({ id, state, addresses }) => ({
  id,
  state: state as string,
  address: addresses[0]?.address ?? "",
}))
for (let step = 0; ; step++) {
  const which = live[Math.floor(Math.random() * live.length)]
  if (live.length < MOST && (which === undefined || Math.random() < 0.4)) {
    let n = step % (2 * MOST)
    while (leased.has(`10.0.0.${n}`)) n = (n + 1) % (2 * MOST)
    const address = `10.0.0.${n}`
    const id = stateDatabase.begin(
      {
        network: "n",
        containerId: `c${n}`,
        ifname: "eth0",
        kind: "port",
        netns: { path: `/run/netns/${n}`, dev: 4n, ino: BigInt(step) },
        names: { aliases: [], labels: {} },
        // Now and then more than a page, so that a transaction has many.
        request: { filler: "x".repeat(Math.random() < 0.1 ? 5000 : 50) },
      },
      [{ address, prefix: 24, gateway: undefined }],
      { cursors: { "10.0.0.0/24": address } },
    )
    leased.add(address)
    live.push({ id, state: "attaching", address })
    say(`begin ${id} ${address}`)
  } else if (which?.state === "attaching") {
    stateDatabase.finish(which.id, {
      hostName: "h",
      hostIndex: step,
      mac: "m",
      mtu: 1402,
      result: {},
    })
    which.state = "attached"
    say(`finish ${which.id} ${which.address}`)
  } else if (which?.state === "attached") {
    stateDatabase.detach(which.id)
    which.state = "detaching"
    say(`detach ${which.id} ${which.address}`)
  } else if (which !== undefined) {
    stateDatabase.remove(which.id, [{ address: which.address, until: step + 1 }])
    leased.delete(which.address)
    live = live.filter((one) => one !== which)
    say(`remove ${which.id} ${which.address}`)
    if (step % 16 === 0) stateDatabase.checkpoint()
  }
}

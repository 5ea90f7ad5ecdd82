/** A file in the form of Rancher's catalogue, on two hosts: a container of each reaches the other. */
import type { DriverKind } from "../../src/config/network.ts"
import { addressOf } from "../netns/container.ts"
import { driverFile, expectReach, type Reachable } from "../netns/driver_file.ts"
import { ClusterLab } from "./cluster_lab.ts"
import type { LabHost } from "./lab_host.ts"

/** @param kind the driver, and the name of its file in `test/fixtures/config` */
export async function expectReachAcrossHosts(kind: DriverKind): Promise<void> {
  const lab = await ClusterLab.start({ hosts: ["a", "b"], driver: kind, agents: false })
  try {
    const { yaml, conf } = driverFile(kind)
    for (const host of lab.hosts) {
      host.options = { ...host.options, networks: yaml, conf }
      await host.startAgent()
    }
    const one = await attachedTo(lab.host("a"), "one")
    await expectReach(one, await attachedTo(lab.host("b"), "two"))
  } finally {
    await lab.close()
  }
}

async function attachedTo(host: LabHost, id: string): Promise<Reachable> {
  const { netns, result } = await host.attach(id)
  return { id, netns: netns.name, address: addressOf(result) }
}

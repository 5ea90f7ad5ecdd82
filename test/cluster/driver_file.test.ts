import { test } from "bun:test"
import { expectReachAcrossHosts } from "../vm/driver_file_hosts.ts"

test("the catalogue's file of vxlan carries containers of two hosts to each other", async () => {
  await expectReachAcrossHosts("vxlan")
}, 60_000)

import { test } from "bun:test"
import { expectReachAcrossHosts } from "./driver_file_hosts.ts"

test("the catalogue's file of ipsec carries containers of two hosts to each other", async () => {
  await expectReachAcrossHosts("ipsec")
}, 240_000)

/** Every source that does something has a test beside it, or is named with its live test. */
import { posix } from "node:path"
import { roomOf, targetOf } from "./rooms.ts"
import { isTest, type SourceFile } from "./source_file.ts"
import type { Violation } from "./violation.ts"

/**
 * Sources that only a live kernel or a whole program can test, with the test that does; a name that
 * ends in a slash stands for a folder. Keep it short.
 */
export const LIVE_TESTED: Readonly<Record<string, string>> = {
  "src/agent/agent.ts": "test/netns/attach.blackbox.test.ts",
  "src/agent/cluster/cluster.ts": "test/vm/ipsec_cluster.test.ts",
  "src/agent/control/control_client.ts": "test/netns/commands.blackbox.test.ts",
  "src/agent/doctor/gather.ts": "test/netns/commands.blackbox.test.ts",
  "src/agent/doctor/probe.ts": "test/netns/commands.blackbox.test.ts",
  "src/agent/services/metadata_server.ts": "test/netns/metadata.blackbox.test.ts",
  "src/agent/watch.ts": "test/netns/reconcile.blackbox.test.ts",
  "src/cli/agent.ts": "test/netns/attach.blackbox.test.ts",
  "src/demo/demo.ts": "test/netns/demo.blackbox.test.ts",
  "src/demo/demo_host.ts": "test/netns/demo.blackbox.test.ts",
  "src/demo/demo_hosts.ts": "test/netns/demo_hosts.blackbox.test.ts",
  "src/demo/demo_lab.ts": "test/netns/demo.blackbox.test.ts",
  "src/demo/demo_wiring.ts": "test/netns/demo.blackbox.test.ts",
  "src/cli/dns.ts": "test/netns/dns.blackbox.test.ts",
  "src/cli/doctor.ts": "test/netns/commands.blackbox.test.ts",
  "src/cli/endpoints.ts": "test/clients/lariat.ts",
  "src/cli/licenses.ts": "test/build.test.ts",
  "src/cli/main.ts": "test/build.test.ts",
  "src/cli/metadata.ts": "test/netns/metadata_limits.blackbox.test.ts",
  "src/cli/objects.ts": "test/netns/metadata_limits.blackbox.test.ts",
  "src/demo/ping_stream.ts": "test/vm/demo_hosts.test.ts",
  "src/cli/version.ts": "test/build.test.ts",
  "src/drivers/ipsec/ipsec_driver.ts": "test/vm/ipsec_driver.test.ts",
  "src/drivers/ipsec/probe.ts": "test/netns/esp_probe.test.ts",
  "src/drivers/routed/routed_driver.ts": "test/netns/driver_routed.test.ts",
  "src/drivers/vxlan/vxlan_driver.ts": "test/netns/driver_vxlan.test.ts",
  "src/drivers/wireguard/control.ts": "test/vm/wireguard_driver.test.ts",
  "src/drivers/wireguard/wireguard_driver.ts": "test/vm/wireguard_driver.test.ts",
  "src/endpoint/": "test/netns/endpoint_port.test.ts",
  "src/main.ts": "test/build.test.ts",
  "src/netlink/monitor.ts": "test/netns/netlink_monitor.test.ts",
  "src/netlink/route/nsid.ts": "test/netns/endpoint_port.test.ts",
  "src/sys/probes/echo.ts": "test/netns/echo_prober.test.ts",
  "src/sys/probes/echo_socket.ts": "test/netns/echo_prober.test.ts",
  "src/sys/net/frame_tap.ts": "test/netns/frame_tap.test.ts",
  "src/endpoint/read_port.ts": "test/netns/lost_state.blackbox.test.ts",
  "src/endpoint/inherit_routes.ts": "test/netns/two_networks.blackbox.test.ts",
  "src/endpoint/address_holder.ts": "test/netns/held_addresses.blackbox.test.ts",
  "src/sys/net/packet.ts": "test/netns/sys_parity.test.ts",
  "src/sys/stray_threads.ts": "test/netns/stays.test.ts",
  "src/sys/net/udp_encap.ts": "test/netns/nat_detection.test.ts",
  "src/sys/net/udp_encap_reader.ts": "test/netns/nat_detection.test.ts",
  "src/sys/xtables/table.ts": "test/netns/legacy_firewall.blackbox.test.ts",
}

/**
 * Files of src/ that no test in their room reaches: none is named for them, and none imports them
 * or a file of the room that does.
 *
 * @param exists whether a path of the checkout is there
 * @param strip turns TypeScript into JavaScript: what is left of a file of types has no functions
 */
export function checkTestsBeside(
  files: readonly SourceFile[],
  liveTested: Readonly<Record<string, string>>,
  exists: (path: string) => boolean,
  strip: (text: string) => string,
): Violation[] {
  const tested = reachedByTests(files)
  const violations: Violation[] = []
  for (const file of files) {
    if (!needsTest(file, strip) || tested.has(file.path)) continue
    const live = liveTested[file.path] ?? liveTested[`${posix.dirname(file.path)}/`]
    if (live === undefined) {
      violations.push({ path: file.path, line: 1, message: "no test beside it" })
    } else if (!exists(live)) {
      violations.push({ path: file.path, line: 1, message: `${live} is not there` })
    }
  }
  for (const path of Object.keys(liveTested)) {
    const covered = files.filter((file) => file.path === path || file.path.startsWith(path))
    if (!covered.some((file) => needsTest(file, strip) && !tested.has(file.path))) {
      violations.push({ path, line: 1, message: "need not be listed as tested live" })
    }
  }
  return violations
}

function reachedByTests(files: readonly SourceFile[]): Set<string> {
  const byPath = new Map(files.map((file) => [file.path, file]))
  const reached = new Set<string>()
  const visit = (path: string) => {
    if (reached.has(path)) return
    reached.add(path)
    const file = byPath.get(path)
    for (const { specifier } of file?.imports ?? []) {
      const target = file === undefined ? undefined : targetOf(file, specifier)
      if (target !== undefined && roomOf(target) === roomOf(path)) visit(target)
    }
  }
  for (const { path } of files.filter((file) => isTest(file.path))) {
    visit(path)
    visit(path.replace(/\.test\.ts$/, ".ts"))
  }
  return reached
}

function needsTest(file: SourceFile, strip: (text: string) => string): boolean {
  if (!file.path.startsWith("src/") || isTest(file.path)) return false
  if (/(_worker|\.generated)\.ts$/.test(file.path)) return false
  return /\bfunction\b|\bclass\b|=>|\bawait\b/.test(strip(file.text))
}

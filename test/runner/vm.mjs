/** Where the tests of many hosts run: on this machine's kernel, or in a virtual machine. */
import { join } from "node:path"
import { outputOf, runProgram } from "./process.mjs"
import { ensureDebian } from "./setup.mjs"

/** What vmrun.sh calls, beside what every Debian has. */
const MACHINE = ["qemu-system-x86", "xz-utils"]
const PREPARE_TIMEOUT_MS = 10 * 60_000
/** Time that a machine has for being waited for and taken down, beside its suite's own. */
const AROUND_MS = 11 * 60_000

/** Makes one thing of each kind that the drivers between hosts need, in a namespace that goes. */
const KERNEL_PROBE = `
ip xfrm state add src 192.0.2.1 dst 192.0.2.2 proto esp spi 1 mode tunnel \\
  aead 'rfc4106(gcm(aes))' 0x${"5b".repeat(36)} 128 &&
ip xfrm state add src 192.0.2.1 dst 192.0.2.2 proto esp spi 2 mode tunnel \\
  aead 'rfc7539esp(chacha20,poly1305)' 0x${"5b".repeat(36)} 128 &&
ip link add type xfrm if_id 1 && ip link add type wireguard &&
ip link add type vxlan id 1 dstport 4789 && tc qdisc add dev lo root netem delay 1ms
`

/**
 * @typedef {object} Place
 * @property {string} [machine] path of vmrun.sh when suites run in a virtual machine
 * @property {string} [obstacle] why they can run nowhere
 */

/**
 * Finds out where tests of many hosts can run, and prepares the virtual machine when it is there.
 *
 * @param {string} root the checkout
 * @returns {Promise<Place>} neither property: this machine's own kernel
 */
export async function ensurePlace(root) {
  if (process.getuid?.() === 0) {
    const obstacle = await ensureDebian(["iproute2"])
    if (obstacle !== undefined) return { obstacle }
    if (outputOf(["unshare", "--net", "sh", "-c", KERNEL_PROBE]) !== undefined) return {}
  }
  if (process.arch !== "x64") return { obstacle: "needs a kernel with ESP, or an x86-64 machine" }
  const obstacle = await ensureDebian(MACHINE)
  if (obstacle !== undefined) return { obstacle }
  const machine = join(root, "test/vm/vmrun.sh")
  const result = await runProgram([machine, "--setup"], { timeoutMs: PREPARE_TIMEOUT_MS })
  if (result.status === 0) return { machine }
  return { obstacle: `cannot prepare a virtual machine: vmrun.sh --setup gave ${result.status}` }
}

/**
 * The command that runs another one in a virtual machine. Its current directory, the only one that
 * the guest writes to, should be small: `bun test` looks through all of it, over 9p.
 *
 * @param {string} machine path of vmrun.sh
 * @param {string[]} argv
 * @param {{ env: NodeJS.ProcessEnv, timeoutMs: number, kernel?: string | undefined }} options `env`:
 *   which variables are handed over, beside those that always are; `kernel`: more for its command line
 * @returns {{ argv: string[], timeoutMs: number }}
 */
export function inMachine(machine, argv, options) {
  const names = Object.keys(options.env).filter((name) => /^(LARIAT_|NO_COLOR$|CI$)/.test(name))
  const seconds = String(Math.ceil(options.timeoutMs / 1000))
  const kernel = options.kernel === undefined ? [] : ["--kernel", options.kernel]
  return {
    argv: [machine, "--timeout", seconds, ...kernel, "--env", names.join(" "), "--", ...argv],
    timeoutMs: options.timeoutMs + AROUND_MS,
  }
}

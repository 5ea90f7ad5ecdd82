/** Which suites there are, and what each of them needs. A suite is one run of `bun test`. */
import { existsSync, readdirSync } from "node:fs"
import { join } from "node:path"

/**
 * @typedef {object} Suite
 * @property {string} name for the table and for --only
 * @property {string[]} paths files or folders that `bun test` gets
 * @property {boolean} namespace runs in namespaces of its own, as root
 * @property {boolean} [manyHosts] needs a kernel with ESP, in a virtual machine where this one has none
 * @property {string} [kernel] more for the command line of the virtual machine's kernel
 * @property {boolean} [again] runs once more when it fails: it shares processors, the clock and the
 *   kernel's limits with the suite beside it and with all else on the machine
 * @property {boolean} [alone] wants the processors for itself
 * @property {boolean} binary needs dist/lariat
 * @property {string[]} debian packages that its tests use
 * @property {string[]} wanted packages that some of its tests use, which are skipped without them
 * @property {"cnitool" | "metadata_client" | "rancher_metadata"} [program] that it needs, which no
 *   Debian package has
 * @property {number} timeoutMs the whole suite is killed after that
 * @property {number} testTimeoutMs one test fails after that
 * @property {string[]} [command] how the tests start Lariat; dist/lariat when not given
 */

const FIVE_MINUTES = 5 * 60_000

/** Packages by folder of test/: what its tests call to look at the kernel, and the clients. */
const NETWORK_TOOLS = [
  "iproute2",
  "nftables",
  "iptables",
  "iputils-ping",
  "tcpdump",
  "conntrack",
  "strace",
]
const CLIENTS = ["podman", "runc", "containerd", "busybox-static", "containernetworking-plugins"]
const ETCD = ["etcd-server", "etcd-client", "openssl"]
/** Packages of files that use others than their folder. */
const LIVE_FILES = {
  "test/clients/page.test.ts": ["iproute2", "chromium"],
  "test/clients/metadata_client.test.ts": ["iproute2"],
  "test/clients/rancher_metadata.test.ts": [
    "iproute2",
    "nftables",
    "python3-pip",
    "python3-requests",
    "python3-future",
  ],
}
const PROGRAMS = {
  "test/clients/cnitool.test.ts": "cnitool",
  "test/clients/metadata_client.test.ts": "metadata_client",
  "test/clients/rancher_metadata.test.ts": "rancher_metadata",
}
/** Files that want the processors for themselves: a flood comes from one and is answered by another. */
const ALONE = ["test/fuzz/dns.test.ts"]
/** What a suite may take where its folder's time is too short. */
const TIMES = {
  // A second for some ten of the attaches that it is told to make.
  "test/cluster/soak.test.ts": Math.max(FIVE_MINUTES, Number(process.env.TEST_SOAK ?? 0) * 100),
}
const LIVE_FOLDERS = [
  { folder: "test/netns", debian: NETWORK_TOOLS, timeoutMs: FIVE_MINUTES },
  { folder: "test/clients", debian: [...NETWORK_TOOLS, ...CLIENTS], timeoutMs: FIVE_MINUTES },
  {
    folder: "test/crash",
    debian: [...NETWORK_TOOLS, "containernetworking-plugins"],
    timeoutMs: FIVE_MINUTES,
  },
  { folder: "test/cluster", debian: [...NETWORK_TOOLS, ...ETCD], timeoutMs: FIVE_MINUTES },
  { folder: "test/fuzz", debian: NETWORK_TOOLS, timeoutMs: FIVE_MINUTES },
  {
    folder: "test/weeks",
    debian: [...NETWORK_TOOLS, ...ETCD],
    timeoutMs: FIVE_MINUTES + Number(process.env.TEST_WEEKS_SECONDS ?? 0) * 1000,
  },
]

/** Packages that some tests of a plain suite use, by its name. */
const WANTED = {
  unit: ["containernetworking-plugins"],
  runner: ["iproute2"],
  // Run the arm64 build.
  build: process.arch === "x64" ? ["qemu-user", "libc6-arm64-cross"] : [],
}

/** The suites that need no namespace. */
export function plainSuites(root) {
  const suites = [{ name: "unit", paths: ["./src", "./asm"] }]
  for (const name of readdirSync(join(root, "test")).sort()) {
    if (name.endsWith(".test.ts")) {
      suites.push({ name: name.replace(".test.ts", ""), paths: [`./test/${name}`] })
    }
  }
  return suites.map((suite) => ({
    namespace: false,
    binary: suite.name === "build",
    debian: [],
    wanted: WANTED[suite.name] ?? [],
    timeoutMs: FIVE_MINUTES,
    testTimeoutMs: suite.name === "unit" ? 20_000 : 120_000,
    ...suite,
  }))
}

/** One suite for each live test file; black-box files twice, compiled and under Deno. */
export function liveSuites(root) {
  const suites = []
  for (const { folder, debian, timeoutMs } of LIVE_FOLDERS) {
    for (const file of testFiles(join(root, folder))) {
      const path = `${folder}/${file}`
      const suite = {
        name: path.replace(/^test\//, "").replace(/\.test\.ts$/, ""),
        paths: [`./${path}`],
        namespace: true,
        again: true,
        alone: ALONE.includes(path),
        binary: true,
        debian: LIVE_FILES[path] ?? debian,
        wanted: [],
        program: PROGRAMS[path],
        timeoutMs: TIMES[path] ?? timeoutMs,
        testTimeoutMs: 120_000,
      }
      suites.push(suite)
      if (file.endsWith(".blackbox.test.ts")) {
        const deno = join(root, "node_modules/.bin/deno")
        const command = [deno, "run", "-A", join(root, "src/main.ts")]
        suites.push({ ...suite, name: `${suite.name} (deno)`, command })
      }
    }
  }
  return suites
}

/** Suites of {@link manyHostSuites} that want a kernel with more on its command line, by file. */
const KERNELS = { "no_ipv6.test.ts": "ipv6.disable=1" }

/**
 * One suite for each test file of many hosts. They must not run beside each other: a virtual
 * machine wants all processors.
 */
export function manyHostSuites(root) {
  return testFiles(join(root, "test/vm")).map((file) => ({
    name: `vm/${file.replace(/\.test\.ts$/, "")}`,
    paths: [`./test/vm/${file}`],
    namespace: true,
    manyHosts: true,
    kernel: KERNELS[file],
    again: true,
    binary: true,
    debian: [...NETWORK_TOOLS, "etcd-server", "wireguard-tools"],
    wanted: [],
    timeoutMs: FIVE_MINUTES,
    testTimeoutMs: 120_000,
  }))
}

function testFiles(folder) {
  if (!existsSync(folder)) return []
  return readdirSync(folder, { recursive: true })
    .map(String)
    .filter((name) => name.endsWith(".test.ts"))
    .sort()
}

import { Command, CommanderError, InvalidArgumentError, Option } from "commander"
import { CIPHERS, ENCAPSULATIONS } from "../core/encapsulation.ts"
import { LariatError, messageOf } from "../errors.ts"
import { bindToParent } from "../sys/parent_death.ts"
import { VERSION } from "../version.ts"

/** Exit codes of every command: a contract, scripts rely on them. */
const EXIT_FAILED = 1
const EXIT_USAGE = 2

/**
 * Runs the command line. Each command's code is loaded only when it is asked for.
 *
 * @param args what follows the program's name
 * @returns the exit code: 0 done, 1 failed, 2 wrong usage
 */
export async function runCommandLine(args: readonly string[]): Promise<number> {
  let exit = 0
  const program = commands((code) => {
    exit = code
  })
  try {
    if (!bindToParent()) return EXIT_FAILED
    await program.parseAsync([...args], { from: "user" })
    return exit
  } catch (error) {
    if (error instanceof CommanderError) return error.exitCode === 0 ? 0 : EXIT_USAGE
    return report(error)
  }
}

function report(error: unknown): number {
  console.error(`lariat: ${messageOf(error)}`)
  if (!(error instanceof LariatError)) return EXIT_FAILED
  if (error.hint !== undefined) console.error(`  ${error.hint}`)
  return error.code === "usage" ? EXIT_USAGE : EXIT_FAILED
}

function commands(setExit: (code: number) => void): Command {
  /** An action whose code is loaded when it is asked for. */
  const run = <Given extends unknown[]>(
    load: () => Promise<(...given: Given) => number | Promise<number>>,
  ) => {
    return async (...given: Given): Promise<void> => setExit(await (await load())(...given))
  }
  const program = new Command("lariat")
    .description("Container networking for edge hosts: addresses, overlay, metadata and DNS")
    .version(VERSION)
    .exitOverride()
    .showHelpAfterError()

  program
    .command("agent")
    .description("run the agent in the foreground")
    .addOption(filesOption("network YAML or agent.yml; may be repeated"))
    .option("--state-dir <dir>", "where the agent keeps its state", process.env.LARIAT_STATE_DIR)
    .option("--run-dir <dir>", "where the control socket is made", process.env.LARIAT_RUN_DIR)
    .option("--store <store>", "sqlite, or the URL of an etcd")
    .option("--host-ip <ip>", "address at which other hosts reach this one", ipOption)
    .option("--metadata-listen <address:port>", "where the metadata API listens")
    .option("--dns-listen <address:port>", "where DNS listens")
    .action(async (options) => {
      // Before the agent's own code is loaded: this is what each start of a plugin reads too.
      const { pagesOfStart } = await import("./start_pages.ts")
      const startPages = pagesOfStart()
      const { runAgent } = await import("./agent.ts")
      setExit(await runAgent(options, startPages))
    })

  program
    .command("validate")
    .description("check YAML files; exit 0 when good, 1 on errors")
    .argument("<file...>")
    .action(run(async () => (await import("./validate.ts")).validate))

  program
    .command("status")
    .description("networks, addresses, endpoints, and what is wrong")
    .option("--json", "for programs")
    .option("--watch", "again every second until interrupted")
    .action(run(async () => (await import("./status.ts")).status))

  program
    .command("endpoints")
    .description("list what is attached")
    .option("--json", "for programs")
    .action(run(async () => (await import("./endpoints.ts")).endpoints))

  program
    .command("peers")
    .description("list the other hosts, and how each network reaches them")
    .option("--json", "for programs")
    .action(run(async () => (await import("./peers.ts")).peers))

  program
    .command("blocks")
    .description("list which host holds which block of addresses")
    .option("--json", "for programs")
    .action(run(async () => (await import("./blocks.ts")).blocks))

  program
    .command("doctor")
    .description("what is wrong with this host, and how to mend it; exit 1 when something is")
    .addOption(filesOption("networks to check for, where no agent runs"))
    .option("--json", "for programs")
    .action(run(async () => (await import("./doctor.ts")).doctor))

  program
    .command("rotate")
    .description("make new keys now")
    .option("--wait", "until every live peer uses them and the old ones are gone")
    .option("--json", "for programs")
    .action(run(async () => (await import("./rotate.ts")).rotate))

  program
    .command("dns")
    .description("DNS by itself, without an agent")
    .command("serve")
    .description("answer for the names of a file of objects; SIGHUP reads it again")
    .requiredOption("--objects <file>", "objects as the metadata API shows them, JSON or YAML")
    .requiredOption("--listen <address:port>", "where to listen, over UDP and TCP")
    .option("--resolv-conf <file>", "the servers to ask for all other names", "/etc/resolv.conf")
    .action(run(async () => (await import("./dns.ts")).dnsServe))

  program
    .command("mtu")
    .description("how many bytes a packet has left, line by line")
    .option("--outer <bytes>", "MTU of the network between the hosts", bytesOption, 1500)
    .addOption(new Option("--driver <driver>").choices(ENCAPSULATIONS).default("ipsec"))
    .addOption(new Option("--cipher <cipher>", "of the ipsec driver").choices(CIPHERS))
    .addOption(
      new Option("--family <family>", "IP version between the hosts")
        .choices(["4", "6"])
        .default("4"),
    )
    .option("--udp", "ESP in UDP, for hosts behind NAT")
    .option("--json", "for programs")
    .action(run(async () => (await import("./mtu.ts")).mtu))

  program
    .command("metadata")
    .description("the metadata API over a file of objects")
    .command("serve")
    .requiredOption("--objects <file>", "JSON or YAML, in the shape that Rancher's server wrote")
    .requiredOption("--listen <address:port>", "where to listen")
    .action(run(async () => (await import("./metadata.ts")).serveMetadata))

  program
    .command("demo")
    .description("the whole thing in throw-away network namespaces; the host stays untouched")
    .option("--config <file>", "network YAML to use instead of the built-in one")
    .option("--hosts <count>", "1 to 4; default 1, or 2 where a driver is named", hostsOption)
    .addOption(
      new Option(
        "--driver <driver>",
        "what is between the hosts; default what the YAML says",
      ).choices(["ipsec", "vxlan", "routed", "wireguard"]),
    )
    .action(run(async () => (await import("../demo/demo.ts")).demo))

  program
    .command("version")
    .description("version, build, runtime, wasm hash")
    .option("--json", "for programs")
    .action(run(async () => (await import("./version.ts")).version))

  program
    .command("licenses")
    .description("licences and notices of all that is in the program")
    .action(run(async () => (await import("./licenses.ts")).licenses))
  return program
}

function filesOption(description: string): Option {
  return new Option("--config <file>", description)
    .argParser((value, previous: readonly string[]) => [...previous, value])
    .default([], "none")
}

function bytesOption(text: string): number {
  const value = Number(text)
  if (!Number.isInteger(value) || value < 68 || value > 65_535) {
    throw new InvalidArgumentError("expected a whole number of bytes from 68 to 65535")
  }
  return value
}

function hostsOption(text: string): number {
  if (!/^[1-4]$/.test(text)) throw new InvalidArgumentError("expected a number from 1 to 4")
  return Number(text)
}

function ipOption(text: string): string {
  if (!/^[0-9a-fA-F:.]+$/.test(text)) throw new InvalidArgumentError("expected an IP address")
  return text
}

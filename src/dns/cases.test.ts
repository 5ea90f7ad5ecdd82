/** What Rancher's own DNS answered, and what is answered otherwise on purpose. */
import { expect, test } from "bun:test"
import { readFileSync } from "node:fs"
import { join } from "node:path"
import { decode, encode, type Packet } from "dns-packet"
import { servedBy } from "../../test/fixtures/dns/server_fixture.ts"
import { parseObjectsFile } from "../metadata/objects_file.ts"

const FIXTURES = join(import.meta.dirname, "../../test/fixtures")
const OBJECTS = readFileSync(join(FIXTURES, "metadata/objects.json"), "utf8")
const CASES = readFileSync(join(FIXTURES, "dns/cases.txt"), "utf8")

/** What an answer says, in the words of dig. */
interface Said {
  readonly status: string
  readonly flags: string
  /** Answers and authorities, `name TTL IN TYPE data`. */
  readonly records: readonly string[]
}

interface Case {
  readonly title: string
  readonly source: string
  readonly name: string
  readonly type: string
  readonly isTcp: boolean
  readonly said: Said
}

/**
 * By title: what is said instead, and why. The README has the same table.
 */
const DIFFERENCES: Readonly<Record<string, { readonly said: Said; readonly why: string }>> = {
  "10.42.10.1 web.default.rancher.internal MX": {
    said: noData(),
    why: "the name exists: NODATA, where NXDOMAIN denies its addresses too (RFC 2308 §2)",
  },
  "10.42.10.1 web.default.rancher.internal SRV": {
    said: noData(),
    why: "as for MX; SRV records of published ports are at _PORT._PROTOCOL before the name",
  },
  "10.42.10.1 web.default.rancher.internal ANY": {
    said: answered("web.default.rancher.internal. 1 IN A 10.42.10.1"),
    why: "what the name has (RFC 1035 §3.2.3), which is little",
  },
  "10.42.10.1 1.10.42.10.in-addr.arpa PTR": {
    said: answered("1.10.42.10.in-addr.arpa. 1 IN PTR default-web-1.rancher.internal."),
    why: "containers have names",
  },
  "10.42.10.1 +tcp web.default.rancher.internal A": {
    said: answered("web.default.rancher.internal. 1 IN A 10.42.10.1"),
    why: "the TTL does not count down to 0 in a cache of own names",
  },
  "10.42.10.1 localhost A": {
    said: answered("localhost. 1 IN A 127.0.0.1"),
    why: "localhost is asked of nobody else (RFC 6761 §6.3)",
  },
}

/** On every answer: RA is set, because we do recurse; NXDOMAIN and errors of Rancher's left it out. */
const RECURSION_FLAG = "ra"

function noData(): Said {
  return {
    status: "NOERROR",
    flags: "qr aa rd ra",
    records: ["rancher.internal. 1 IN SOA rancher.internal. rancher.internal. N 60 10 86400 1"],
  }
}

function answered(record: string): Said {
  return { status: "NOERROR", flags: "qr aa rd ra", records: [record] }
}

const cases = parseCases(CASES)

test("every recorded case is read", () => {
  expect(cases).toHaveLength(22)
  const titles = cases.map(({ title }) => title)
  expect(Object.keys(DIFFERENCES).filter((title) => !titles.includes(title))).toEqual([])
})

const server = servedBy(parseObjectsFile("objects.json", OBJECTS))

for (const one of cases) {
  const difference = DIFFERENCES[one.title]
  test(difference === undefined ? one.title : `${one.title}: ${difference.why}`, async () => {
    const said = saidBy(await server.ask(queryOf(one), one.source, one.isTcp ? "tcp" : "udp"))
    const expected = difference?.said ?? one.said
    const flags = new Set([...expected.flags.split(" "), RECURSION_FLAG])
    // An answer without a question to pass on has no RD in Rancher's.
    if (said.flags.includes("rd")) flags.add("rd")
    expect({ ...said, flags: [...said.flags].sort() }).toEqual({
      ...expected,
      flags: [...flags].sort(),
    } as never)
  })
}

function queryOf({ name, type }: Case): Uint8Array {
  const isChaos = name === "version.bind"
  const question = { name, type, class: isChaos ? "CH" : "IN" } as const
  return encode({ type: "query", id: 7, flags: 0x0100, questions: [question] } as Packet)
}

function saidBy(bytes: Uint8Array | undefined): {
  status: string
  flags: string[]
  records: string[]
} {
  if (bytes === undefined) throw new Error("no answer")
  const packet = decode(Buffer.from(bytes))
  const names = ["qr", "aa", "tc", "rd", "ra"] as const
  const bits = [true, packet.flag_aa, packet.flag_tc, packet.flag_rd, packet.flag_ra]
  return {
    status: String(packet.rcode),
    flags: names.filter((_, index) => bits[index]),
    records: [...(packet.answers ?? []), ...(packet.authorities ?? [])].map(recordText),
  }
}

function recordText(record: NonNullable<Packet["answers"]>[number]): string {
  const { name, type, ttl, data } = record as {
    name: string
    type: string
    ttl: number
    data: unknown
  }
  if (type !== "SOA") {
    const text = type === "PTR" ? `${data}.` : String(data)
    return `${name}. ${ttl} IN ${type} ${text}`
  }
  const { mname, rname, refresh, retry, expire, minimum } = data as Record<string, unknown>
  return `${name}. ${ttl} IN SOA ${mname}. ${rname}. N ${refresh} ${retry} ${expire} ${minimum}`
}

/** Blocks of `### src=ADDRESS dig …`, each with what dig printed. */
function parseCases(text: string): Case[] {
  return text
    .split(/^### /m)
    .slice(1)
    .map((block) => {
      const [head = "", ...lines] = block.split("\n")
      const [source = "", , ...args] = head.replace("src=", "").split(" ")
      const status = /status: (\w+)/.exec(block)?.[1] ?? ""
      const flags = /flags: ([a-z ]+);/.exec(block)?.[1] ?? ""
      const records = lines
        .filter((line) => /^[^;\s]/.test(line))
        .map((line) => line.replace(/\s+/g, " ").replace(/( SOA \S+ \S+) \d+/, "$1 N"))
      return {
        title: `${source} ${titleOf(args)}`,
        source,
        ...asked(args),
        said: { status, flags, records },
      }
    })
}

function asked(args: readonly string[]): Pick<Case, "name" | "type" | "isTcp"> {
  const isTcp = args.includes("+tcp")
  const reverse = args[args.indexOf("-x") + 1]
  if (args.includes("-x") && reverse !== undefined) {
    return { name: `${reverse.split(".").reverse().join(".")}.in-addr.arpa`, type: "PTR", isTcp }
  }
  const [name = "", type = "A"] = args.filter((arg) => !/^[+-]|^CH$/.test(arg))
  return { name, type, isTcp }
}

function titleOf(args: readonly string[]): string {
  const { name, type, isTcp } = asked(args)
  return `${isTcp ? "+tcp " : ""}${name} ${type}`
}

/** Reading the legacy iptables tables of this network namespace. */

import { EAGAIN, ENOENT, SystemError } from "../ffi/errno.ts"
import { readFile } from "../ffi/file.ts"
import { errno, libc } from "../ffi/libc.ts"
import { openSocket, SOCK_RAW } from "../net/socket.ts"
import {
  IP6T_LAYOUT,
  IPT_LAYOUT,
  parseXtables,
  type XtablesChains,
  type XtablesLayout,
} from "./rules.ts"

/** Where the tables of one address family are. */
interface Source {
  /** Tables that this namespace has; no such file where the kernel has no legacy iptables. */
  readonly names: string
  readonly family: number
  /** Of the socket option: SOL_IP, SOL_IPV6. */
  readonly level: number
  readonly layout: XtablesLayout
}

const SOURCES: Readonly<Record<4 | 6, Source>> = {
  4: { names: "/proc/thread-self/net/ip_tables_names", family: 2, level: 0, layout: IPT_LAYOUT },
  6: {
    names: "/proc/thread-self/net/ip6_tables_names",
    family: 10,
    level: 41,
    layout: IP6T_LAYOUT,
  },
}

const MAX_NAMES_BYTES = 65_536
/** linux/in.h */
const IPPROTO_RAW = 255
/** IPT_SO_GET_INFO, IPT_SO_GET_ENTRIES; those of IPv6 have the same numbers. */
const SO_GET_INFO = 64
const SO_GET_ENTRIES = 65
/** XT_TABLE_MAXNAMELEN */
const NAME_BYTES = 32
/** struct ipt_getinfo: name, valid_hooks, hook_entry[5], underflow[5], num_entries, size. */
const INFO_BYTES = 84
const HOOKS_OFFSET = 32
const ENTRY_OFFSET = 36
const SIZE_OFFSET = 80
/** struct ipt_get_entries: name, size, and the entries at a multiple of eight. */
const ENTRIES_OFFSET = 40
/** Names of NF_INET_PRE_ROUTING and so on, by number. */
const HOOKS = ["PREROUTING", "INPUT", "FORWARD", "OUTPUT", "POSTROUTING"]
/** Somebody else may change the table between the two calls. */
const ATTEMPTS = 5

/**
 * The rules of a legacy table, undefined where this namespace has none. The kernel loads no module
 * and makes no table for being asked.
 *
 * @throws SystemError `permission` without CAP_NET_ADMIN and CAP_NET_RAW; LariatError `decode`
 */
export function readXtables(family: 4 | 6, table: string): XtablesChains | undefined {
  const source = SOURCES[family]
  if (!tableNames(source).includes(table)) return undefined
  const fd = openSocket(source.family, SOCK_RAW, IPPROTO_RAW)
  try {
    for (let attempt = 1; attempt <= ATTEMPTS; attempt++) {
      const chains = readOnce(fd, source, table)
      if (chains !== undefined) return chains
    }
    throw new SystemError(EAGAIN, "getsockopt", `read the iptables table ${table}`)
  } finally {
    libc.close(fd)
  }
}

function tableNames({ names }: Source): string[] {
  try {
    return new TextDecoder().decode(readFile(names, MAX_NAMES_BYTES)).split("\n")
  } catch (error) {
    if (error instanceof SystemError && error.errno === ENOENT) return []
    throw error
  }
}

/** Undefined when the table changed in between. */
function readOnce(fd: number, source: Source, table: string): XtablesChains | undefined {
  const info = ask(fd, source, SO_GET_INFO, table, INFO_BYTES)
  if (info === undefined) return undefined
  const valid = info.getUint32(HOOKS_OFFSET, true)
  const hooks = HOOKS.flatMap((name, hook) =>
    (valid & (1 << hook)) === 0
      ? []
      : [[name, info.getUint32(ENTRY_OFFSET + 4 * hook, true)] as const],
  )
  const size = info.getUint32(SIZE_OFFSET, true)
  const entries = ask(fd, source, SO_GET_ENTRIES, table, ENTRIES_OFFSET + size, size)
  if (entries === undefined) return undefined
  const bytes = new Uint8Array(entries.buffer, ENTRIES_OFFSET)
  return parseXtables(bytes, source.layout, new Map(hooks))
}

/** @param size goes behind the name */
function ask(fd: number, source: Source, option: number, table: string, bytes: number, size = 0) {
  const answer = new Uint8Array(bytes)
  const view = new DataView(answer.buffer)
  answer.set(new TextEncoder().encode(table).subarray(0, NAME_BYTES - 1))
  view.setUint32(NAME_BYTES, size, true)
  const length = new Uint8Array(Uint32Array.of(bytes).buffer)
  if (libc.getsockopt(fd, source.level, option, answer, length) === 0) return view
  if (errno() === EAGAIN) return undefined
  const what = `read the legacy iptables table ${table}`
  throw new SystemError(errno(), "getsockopt", what)
}

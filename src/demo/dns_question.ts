import { queryFor } from "../agent/doctor/service_probe.ts"
import { formatAddress } from "../core/address.ts"
import { encodeName } from "../dns/name.ts"
import { skipName } from "../dns/query.ts"
import { DNS_PORT } from "../dns/resolv_conf.ts"
import { HEADER_BYTES, OFFSET_ANCOUNT, RECORD_FIXED_BYTES, read16, TYPE_A } from "../dns/wire.ts"
import { LariatError } from "../errors.ts"
import { Datagrams } from "../sys/net/datagram.ts"

/** How long an answer is waited for, milliseconds. */
const WAIT_MS = 2000

/**
 * Asks a server for a name's IPv4 addresses over UDP, in the current network namespace. Blocks.
 *
 * @param from the source address
 * @returns none where the name has none; undefined when no answer comes in time
 * @throws SystemError, LariatError usage when `name` is none
 */
export function askForAddresses(
  server: string,
  name: string,
  from: string,
): readonly string[] | undefined {
  const labels = encodeName(name)
  if (labels === undefined) {
    throw new LariatError(`Cannot ask for ${JSON.stringify(name)}: it is no name of DNS`, {
      code: "usage",
    })
  }
  const query = queryFor(labels, TYPE_A)
  const socket = Datagrams.open(from, 0)
  try {
    socket.send(query, server, DNS_PORT)
    const answer = socket.receive(WAIT_MS)
    return answer === undefined ? undefined : addressesIn(answer, read16(query, 0))
  } finally {
    socket.close()
  }
}

/** The IPv4 addresses of an answer with that id; what is broken ends the list. */
export function addressesIn(answer: Uint8Array, id: number): readonly string[] {
  const addresses: string[] = []
  if (answer.length < HEADER_BYTES || read16(answer, 0) !== id) return addresses
  let at = skipName(answer, HEADER_BYTES) + 4
  for (let count = read16(answer, OFFSET_ANCOUNT); count > 0; count--) {
    const fixed = skipName(answer, at)
    const data = fixed + RECORD_FIXED_BYTES
    if (fixed < 0 || data > answer.length) break
    at = data + read16(answer, fixed + 8)
    if (read16(answer, fixed) !== TYPE_A || at !== data + 4 || at > answer.length) continue
    addresses.push(formatAddress({ family: 4, bytes: answer.slice(data, at) }))
  }
  return addresses
}

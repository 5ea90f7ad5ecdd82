/** The kernel's counters of what went wrong with IPsec (Documentation/networking/xfrm_proc.rst). */

/** What a counter of /proc/net/xfrm_stat means, in a sentence; those that point at a cause. */
const MEANINGS: Readonly<Record<string, string>> = {
  XfrmInNoStates: "packets came for an association that is not there",
  XfrmInStateProtoError: "packets failed authentication: keys or ESN differ",
  XfrmInStateModeError: "packets came through an association of another mode",
  XfrmInStateSeqError: "packets came twice, or later than the replay window",
  XfrmInStateExpired: "packets came for an association that has ended",
  XfrmInTmplMismatch: "a host sent packets of addresses that are not its own",
  XfrmInNoPols: "packets came out of a tunnel for addresses that no policy covers",
  XfrmInPolBlock: "packets in clear came for the overlay and were dropped",
  XfrmOutNoStates: "packets had no association to go out by",
  XfrmOutPolBlock: "packets for addresses that no host has were dropped",
  XfrmOutStateSeqError: "an association ran out of sequence numbers",
  XfrmOutStateExpired: "packets had an association that has ended",
  XfrmFwdHdrError: "packets could not be forwarded",
  XfrmAcquireError: "the kernel asked for associations and nobody answered",
}

/**
 * Reads the text of /proc/net/xfrm_stat.
 *
 * @returns every counter by its name; none for a kernel without statistics
 */
export function parseStatistics(text: string): ReadonlyMap<string, number> {
  const found = new Map<string, number>()
  for (const line of text.split("\n")) {
    const [, name, count] = /^(Xfrm\w+)\s+(\d+)$/.exec(line.trim()) ?? []
    if (name !== undefined) found.set(name, Number(count))
  }
  return found
}

/** Counters that grew, with what each means; those without a meaning are left out. */
export function grownStatistics(
  before: ReadonlyMap<string, number>,
  after: ReadonlyMap<string, number>,
): { readonly name: string; readonly by: number; readonly meaning: string }[] {
  return Object.entries(MEANINGS).flatMap(([name, meaning]) => {
    const by = (after.get(name) ?? 0) - (before.get(name) ?? 0)
    return by > 0 ? [{ name, by, meaning }] : []
  })
}

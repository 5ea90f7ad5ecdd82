/** Why a peer does not answer, from what the kernel and the store know, and what would mend it. */

/** Why nothing gets through. */
export type DownReason =
  | "host-gone" // its presence in the store has ended
  | "no-route" // this host has no route to it
  | "no-policy" // IPsec: no policy covers it, so clear text is blocked
  | "no-sa" // IPsec: a policy without its security association
  | "authentication" // packets of it come with a wrong key
  | "replay" // packets of it are thrown away as replayed
  | "unknown" // nothing is wrong here: the path, or the other host

/** What to ask the driver for. */
export type Repair =
  | "rotate-keys" // agree on new keys with the peer
  | "reinstall" // put policies, routes and associations back as they should be
  | "none"

/** What is known of a peer besides its answers. Undefined: not known, or not of this driver. */
export interface PeerFacts {
  /** Present in the store; undefined while the store does not answer. */
  readonly alive?: boolean | undefined
  /** A route leads to its blocks. */
  readonly route?: boolean | undefined
  /** All its policies are there. */
  readonly policy?: boolean | undefined
  /** An association to send with, and one to receive with, are there. */
  readonly saPair?: boolean | undefined
  /** Packets that failed the replay check of its associations; a count that grows. */
  readonly replayed?: number | undefined
  /** Packets that failed authentication; a count that grows. */
  readonly unauthentic?: number | undefined
}

/** What grew since the peer was last heard. */
export interface Growth {
  readonly replayed: number
  readonly unauthentic: number
}

/** include/uapi/asm-generic/errno-base.h, errno.h: what sending to a peer fails with. */
const REASON_OF_ERRNO: Readonly<Record<number, DownReason>> = {
  1: "no-policy", // EPERM: the policy that blocks clear text
  // A policy without its association mostly drops the packet unseen; EAGAIN is also a full socket.
  3: "no-sa", // ESRCH
  101: "no-route", // ENETUNREACH
  113: "no-route", // EHOSTUNREACH
}

const REPAIRS: Readonly<Record<DownReason, Repair>> = {
  "host-gone": "none",
  "no-route": "reinstall",
  "no-policy": "reinstall",
  "no-sa": "rotate-keys",
  authentication: "rotate-keys",
  replay: "rotate-keys",
  // The other side may lack what this one cannot see: new keys make it install everything anew.
  unknown: "rotate-keys",
}

/** What mends a peer that is down for that reason. */
export function repairOf(reason: DownReason): Repair {
  return REPAIRS[reason]
}

/**
 * What is missing on this host although the peer is there; it can be mended without waiting for
 * the peer to be down.
 */
export function localDefect(facts: PeerFacts): DownReason | undefined {
  if (facts.alive === false) return undefined
  if (facts.route === false) return "no-route"
  if (facts.policy === false) return "no-policy"
  if (facts.saPair === false) return "no-sa"
  return undefined
}

/**
 * The reason, what is sure before what is likely.
 *
 * @param sendErrno of the last probe that this host could not send; undefined when it sent all
 */
export function downReason(
  facts: PeerFacts,
  growth: Growth,
  sendErrno: number | undefined,
): DownReason {
  if (facts.alive === false) return "host-gone"
  const defect = localDefect(facts) ?? REASON_OF_ERRNO[sendErrno ?? 0]
  if (defect !== undefined) return defect
  if (growth.unauthentic > 0) return "authentication"
  if (growth.replayed > 0) return "replay"
  return "unknown"
}

/** How much a count grew; one that is smaller than before belongs to a new association. */
export function grown(before: number | undefined, now: number | undefined): number {
  if (now === undefined) return 0
  return before === undefined || now < before ? now : now - before
}

/**
 * Whether this kernel can do what a network asks of ESP: tried with an association between
 * addresses of documentation, in a namespace that is thrown away, not guessed from a version.
 */

import type { Family } from "../../core/address.ts"
import { CIPHERS, type Cipher } from "../../core/encapsulation.ts"
import { LariatError } from "../../errors.ts"
import { NETLINK_XFRM } from "../../netlink/constants.ts"
import type { NetlinkError } from "../../netlink/error.ts"
import { NetlinkSocket } from "../../netlink/socket.ts"
import { MAX_REPLAY_WINDOW } from "../../netlink/xfrm/constants.ts"
import { newState } from "../../netlink/xfrm/state.ts"
import { EPERM, SystemError } from "../../sys/ffi/errno.ts"
import { createNetns, type Netns } from "../../sys/netns/netns.ts"
import { keyBytes, protectionOf } from "./ciphers.ts"

/** What beside the cipher is needed. */
export interface ProbeOptions {
  /** Of the outer packets. Default both. */
  readonly families?: readonly Family[] | undefined
  /** Whether ESP in UDP is needed. Default false. */
  readonly udp?: boolean | undefined
}

/** asm-generic/errno.h: what xfrm_init_state says where no ESP is registered for the family. */
const EPROTONOSUPPORT = 93
/** RFC 5737, RFC 3849: no host has these, and no policy leads to the association. */
const DOCUMENTATION: Readonly<Record<Family, readonly [string, string]>> = {
  4: ["192.0.2.1", "192.0.2.2"],
  6: ["2001:db8::1", "2001:db8::2"],
}
/** The smallest SPI that is nobody's reserved one (RFC 4303 §2.1). */
const SPI = 256
const UDP_PORT = 4500

/** Names that modprobe takes, beside those of ESP: aliases that the kernel's modules bear. */
const MODULES: Readonly<Record<Cipher, readonly string[]>> = {
  aes128gcm16: ["rfc4106", "seqiv"],
  aes256gcm16: ["rfc4106", "seqiv"],
  chacha20poly1305: ["rfc7539esp", "seqiv"],
  "aes128-sha1": ["authenc", "cbc", "sha1", "echainiv"],
  "aes128-sha256": ["authenc", "cbc", "sha256", "echainiv"],
  "aes256-sha512": ["authenc", "cbc", "sha512", "echainiv"],
}

/**
 * Tries a cipher.
 *
 * @throws LariatError kernel-unsupported with the modules that are missing; permission
 */
export function probeCipher(cipher: Cipher, options: ProbeOptions = {}): void {
  const netns = createNetns()
  try {
    using socket = openSocket(netns, cipher)
    tryCipher(socket, cipher, options)
  } finally {
    netns.close()
  }
}

/** The ciphers that {@link probeCipher} accepts. @throws LariatError permission */
export function availableCiphers(options: ProbeOptions = {}): readonly Cipher[] {
  return CIPHERS.filter((cipher) => {
    try {
      probeCipher(cipher, options)
      return true
    } catch (error) {
      if (error instanceof LariatError && error.code === "kernel-unsupported") return false
      throw error
    }
  })
}

/**
 * Makes the associations on a socket; they stay there.
 *
 * @throws LariatError kernel-unsupported of the first that is refused; permission
 */
export function tryCipher(
  socket: Pick<NetlinkSocket, "tryAll">,
  cipher: Cipher,
  { families = [4, 6], udp = false }: ProbeOptions = {},
): void {
  const ports = { sourcePort: UDP_PORT, destinationPort: UDP_PORT }
  const messages = families.map((family) => {
    const [source, destination] = DOCUMENTATION[family]
    return newState({
      source,
      destination,
      spi: SPI,
      reqid: 0,
      // Good for nothing: the namespace is empty, and the association gone in a moment.
      protection: protectionOf(cipher, new Uint8Array(keyBytes(cipher))),
      replayWindow: MAX_REPLAY_WINDOW,
      encapsulation: udp ? ports : undefined,
    })
  })
  socket.tryAll(messages).forEach(({ error }, at) => {
    const family = families[at]
    if (error !== undefined && family !== undefined) throw refusal(cipher, family, udp, error)
  })
}

function refusal(cipher: Cipher, family: Family, udp: boolean, error: NetlinkError): LariatError {
  if (error.errno === EPERM) return error
  const modules = [family === 4 ? "esp4" : "esp6", ...MODULES[cipher]]
  const what =
    error.errno === EPROTONOSUPPORT
      ? `ESP for IPv${family}`
      : `${cipher} in ESP for IPv${family}${udp ? " in UDP" : ""}`
  return unsupported(cipher, what, modules, error)
}

function openSocket(netns: Netns, cipher: Cipher): NetlinkSocket {
  try {
    return NetlinkSocket.open(NETLINK_XFRM, { netns })
  } catch (error) {
    if (!(error instanceof SystemError && error.code === "kernel-unsupported")) throw error
    throw unsupported(cipher, "XFRM", ["xfrm_user"], error)
  }
}

function unsupported(
  cipher: Cipher,
  what: string,
  modules: readonly string[],
  cause: NetlinkError | SystemError,
): LariatError {
  const words = "extAck" in cause && cause.extAck !== "" ? `${cause.extAck}, ` : ""
  return new LariatError(
    `Cannot encrypt with ${cipher}: this kernel lacks ${what} (${words}${cause.errnoName})`,
    {
      code: "kernel-unsupported",
      hint: `modprobe -a ${modules.join(" ")}, or another kernel; driver: vxlan (--driver vxlan) does without, unencrypted`,
      cause,
    },
  )
}

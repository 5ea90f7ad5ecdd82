/** Trying whether this kernel has ESP, in a network namespace made for it. */

import type { Cipher } from "../../core/encapsulation.ts"
import { LariatError } from "../../errors.ts"
import { NETLINK_XFRM } from "../../netlink/constants.ts"
import { NetlinkSocket } from "../../netlink/socket.ts"
import { MAX_REPLAY_WINDOW } from "../../netlink/xfrm_constants.ts"
import { deleteState, newState } from "../../netlink/xfrm_state.ts"
import { createNetns, withNetns } from "../../sys/netns.ts"
import { keyBytes, protectionOf } from "./ciphers.ts"

/** Addresses for documentation (RFC 5737), and an SPI of nobody's. */
const ID = { destination: "192.0.2.2", spi: 0x100 }
const SOURCE = "192.0.2.1"

/**
 * Whether this kernel makes such associations as the ipsec driver needs: tunnel mode, this cipher,
 * extended sequence numbers and the driver's replay window. Loads modules as any other use would;
 * the host's own associations are not touched.
 *
 * @throws LariatError permission where no namespace may be made
 */
export function espSupported(cipher: Cipher): boolean {
  const netns = createNetns()
  try {
    return withNetns(netns, () => tryHere(cipher))
  } finally {
    netns.close()
  }
}

function tryHere(cipher: Cipher): boolean {
  try {
    using socket = NetlinkSocket.open(NETLINK_XFRM)
    // Keys of nobody: nothing is ever sent with them.
    const protection = protectionOf(cipher, new Uint8Array(keyBytes(cipher)).fill(0x5b))
    socket.request(
      newState({ ...ID, source: SOURCE, reqid: 1, protection, replayWindow: MAX_REPLAY_WINDOW }),
    )
    socket.request(deleteState(ID))
    return true
  } catch (error) {
    // Whatever it says (EPROTONOSUPPORT, ENOSYS, ENOENT, EOPNOTSUPP): it does not do it.
    if (error instanceof LariatError && error.code !== "permission" && error.code !== "internal") {
      return false
    }
    throw error
  }
}

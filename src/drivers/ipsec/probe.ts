/** Whether this kernel can do IPsec as the driver does it. */

import type { Cipher } from "../../core/encapsulation.ts"
import { LariatError } from "../../errors.ts"
import { probeCipher } from "./cipher_probe.ts"

/**
 * Whether this kernel makes such associations as the ipsec driver needs: tunnel mode, this cipher,
 * extended sequence numbers and the driver's replay window, tried in a namespace made for it.
 *
 * @throws LariatError permission where no namespace may be made
 */
export function espSupported(cipher: Cipher): boolean {
  try {
    probeCipher(cipher, { families: [4] })
    return true
  } catch (error) {
    if (error instanceof LariatError && error.code === "kernel-unsupported") return false
    throw error
  }
}

/** Who this host is, and what all hosts of its cluster share. */

import { HostIdentity } from "../../cluster/records/identity.ts"
import { type PreSharedKey, parsePsk } from "../../cluster/records/psk.ts"
import { LariatError } from "../../errors.ts"
import { readSecret, writeSecret } from "./secrets.ts"

/** The identity of this host: made once. @throws LariatError */
export function ownIdentity(path: string, random: (bytes: number) => Uint8Array): HostIdentity {
  const text = readSecret(path, "this host's identity")
  if (text !== undefined) return HostIdentity.load(text)
  const identity = HostIdentity.create(random)
  writeSecret(path, identity.toPem())
  return identity
}

/** @throws LariatError */
export function clusterKey(path: string | undefined, cluster: string): PreSharedKey | undefined {
  if (path === undefined) return undefined
  const text = readSecret(path, "the pre-shared key")
  if (text !== undefined) return parsePsk(text, { cluster })
  throw new LariatError(`Cannot use the pre-shared key: there is no file ${path}`, {
    code: "config-invalid",
    hint: "openssl rand -base64 48 makes one; every host needs the same",
  })
}

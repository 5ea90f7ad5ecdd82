/** Requests with an own certificate authority or client certificate, over either runtime's fetch. */

import { LariatError, messageOf } from "../../errors.ts"
import { bunGlobal } from "../ffi/bun_global.ts"
import { denoGlobal } from "../ffi/deno_global.ts"

/** PEM texts. */
export interface TlsIdentity {
  /** Trusted instead of the system's authorities; one certificate or several. */
  readonly ca?: string | undefined
  /** This client's certificate, which needs `key`. */
  readonly cert?: string | undefined
  readonly key?: string | undefined
}

/** As the global `fetch`. */
export type SecureFetch = (url: string | URL, init?: RequestInit) => Promise<Response>

/**
 * A `fetch` that trusts and shows these certificates. Always HTTP/1.1, one request at a time on a
 * connection, so that a stream that never ends holds up nothing else.
 *
 * @throws LariatError config-invalid when a certificate comes without its key, a key without its
 *   certificate, or the runtime cannot read them
 */
export function secureFetch(tls: TlsIdentity = {}): SecureFetch {
  const { ca, cert, key } = tls
  if ((cert === undefined) !== (key === undefined)) {
    const [there, missing] = cert === undefined ? ["key", "certificate"] : ["certificate", "key"]
    throw new LariatError(`Cannot use a client ${there}: its ${missing} is missing`, {
      code: "config-invalid",
      hint: "give both, as PEM files",
    })
  }
  const pems = Object.entries({ ca, cert, key }).filter(([, pem]) => pem !== undefined)
  // NODE_TLS_REJECT_UNAUTHORIZED must not switch the check off.
  const given = { ...Object.fromEntries(pems), rejectUnauthorized: true }
  return bunGlobal() === undefined
    ? denoFetch(tls)
    : (url, init) => fetch(url, { ...init, tls: given })
}

function denoFetch({ ca, cert, key }: TlsIdentity): SecureFetch {
  let client: object
  try {
    client = denoGlobal().createHttpClient({
      ...(ca === undefined ? {} : { caCerts: [ca] }),
      ...(cert === undefined ? {} : { cert, key }),
      http1: true,
      http2: false,
    })
  } catch (cause) {
    throw new LariatError(`Cannot use the certificates: ${messageOf(cause)}`, {
      code: "config-invalid",
      hint: "they have to be PEM files",
      cause,
    })
  }
  return (url, init) => fetch(url, { ...init, client } as RequestInit)
}

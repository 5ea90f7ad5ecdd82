import { readFileSync } from "node:fs"
import { EtcdStore } from "../../cluster/store/etcd/etcd_store.ts"
import type { Store } from "../../cluster/store/store.ts"
import type { ClusterSettings } from "../../config/network.ts"
import { LariatError, messageOf } from "../../errors.ts"
import { monotonicMs } from "../../sys/clock.ts"
import { secureFetch } from "../../sys/http/fetch.ts"
import { after } from "../../sys/timer.ts"
import { readSecret } from "./secrets.ts"

/**
 * The connection to the store of many hosts. It may be away: what is asked of it fails then, what
 * listens to it goes on by itself.
 *
 * @param endpoints URLs, with commas between
 * @throws LariatError `config-invalid`, `permission`, `io` for files that cannot be used
 */
export function openStore(
  endpoints: string,
  settings: ClusterSettings,
  onError: (error: unknown) => void,
): Store {
  const { storeCa, storeCert, storeKey, storeUser, storePasswordFile } = settings
  const key = storeKey === undefined ? undefined : needed(storeKey, "the key of the store's client")
  const fetch = secureFetch({ ca: textOf(storeCa), cert: textOf(storeCert), key })
  const dependencies = {
    fetch,
    now: monotonicMs,
    after,
    random: Math.random,
  }
  if (storeUser === undefined) return new EtcdStore(endpoints, dependencies, { onError })
  if (storePasswordFile === undefined) {
    throw new LariatError(
      `Cannot log in to the store as ${storeUser}: no storePasswordFile is set`,
      {
        code: "config-invalid",
        hint: "set storePasswordFile to a file of mode 0600",
      },
    )
  }
  const password = needed(storePasswordFile, "the store's password").replace(/\r?\n$/, "")
  return new EtcdStore(endpoints, dependencies, { user: { name: storeUser, password }, onError })
}

function needed(path: string, what: string): string {
  const text = readSecret(path, what)
  if (text !== undefined) return text
  throw new LariatError(`Cannot use ${what}: there is no file ${path}`, {
    code: "config-invalid",
    hint: "check the path",
  })
}

/** Certificates are no secret. */
function textOf(path: string | undefined): string | undefined {
  if (path === undefined) return undefined
  try {
    return readFileSync(path, "utf8")
  } catch (cause) {
    throw new LariatError(`Cannot read the certificate ${path}: ${messageOf(cause)}`, {
      code: "config-invalid",
      hint: "check the path",
      cause,
    })
  }
}

import { listenAddress } from "../agent/services/service_address.ts"
import { MetadataApi, QUESTIONS } from "../metadata/metadata_api.ts"
import { serveFetch } from "../sys/http/fetch_server.ts"
import { after } from "../sys/timer.ts"
import { modelOf, until } from "./objects.ts"

/** The options of `lariat metadata serve`. */
export interface MetadataOptions {
  readonly objects: string
  readonly listen: string
}

/**
 * `lariat metadata serve`: the metadata API over a file of objects, for tests and development. It
 * answers whoever asks; SIGHUP reads the file again.
 */
export async function serveMetadata(options: MetadataOptions): Promise<number> {
  const model = modelOf(options.objects)
  const { hostname, port } = listenAddress(options.listen)
  const api = new MetadataApi({
    model,
    mayAsk: () => true,
    newVersion: () => crypto.randomUUID(),
    now: () => performance.now(),
    schedule: after,
  })
  const server = serveFetch({ hostname, port, ...QUESTIONS }, api.fetch)
  console.log(`metadata of ${options.objects} at http://${options.listen}/`)
  await until(["SIGTERM", "SIGINT"])
  await server.stop()
  return 0
}

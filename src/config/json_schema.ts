/** The configuration's JSON Schema, with which editors complete and check the YAML. */

import * as z from "zod/mini"
import { agentSchema } from "./agent_settings.ts"
import { driverForEditors } from "./driver_schema.ts"
import { optional } from "./value_schema.ts"

const service = z.looseObject({ network_driver: optional(driverForEditors) })

const file = z.catchall(
  z.object({
    version: z.optional(z.union([z.string(), z.number()])),
    services: z.optional(z.record(z.string(), service)),
    agent: optional(agentSchema),
  }),
  // A service at the root, or any of the root keys of Compose that are none.
  z.union([service, z.unknown()]),
)

/**
 * JSON Schema (draft 2020-12) of what one file may hold. It comes from the schemas that files are
 * checked with. Services at the root, as rancher-compose.yml has them, are covered too.
 */
export function jsonSchema(): Record<string, unknown> {
  const { additionalProperties: _, ...schema } = z.toJSONSchema(file, {
    io: "input",
    unrepresentable: "any",
  })
  const { $schema: __, ...rootService } = z.toJSONSchema(service, {
    io: "input",
    unrepresentable: "any",
  })
  return { ...schema, title: "Lariat configuration", additionalProperties: rootService }
}

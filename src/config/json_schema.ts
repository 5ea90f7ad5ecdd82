/** The configuration's JSON Schema, with which editors complete and check the YAML. */

import * as z from "zod/mini"
import { agentSchema } from "./agent_settings.ts"
import { driverForEditors } from "./driver_schema.ts"
import { optional } from "./value_schema.ts"

const service = z.looseObject({ network_driver: optional(driverForEditors) })

const file = z.object({
  version: z.optional(z.union([z.string(), z.number()])),
  services: z.optional(z.record(z.string(), service)),
  agent: optional(agentSchema),
})

function draft(schema: z.ZodMiniType): Record<string, unknown> {
  return z.toJSONSchema(schema, { io: "input", unrepresentable: "any" })
}

/**
 * JSON Schema (draft 2020-12) of what one file may hold. It comes from the schemas that files are
 * checked with. Services at the root, as rancher-compose.yml has them, are covered too.
 */
export function jsonSchema(): Record<string, unknown> {
  // Without the type: other root keys of Compose need not be maps.
  const { $schema: _, type: __, ...rootService } = draft(service)
  return { ...draft(file), title: "Lariat configuration", additionalProperties: rootService }
}

/** The configuration's JSON Schema, with which editors complete and check the YAML. */

import { z } from "zod"
import { agentSchema } from "./agent_settings.ts"
import { driverForEditors } from "./driver_schema.ts"

const service = z.looseObject({ network_driver: driverForEditors.nullish() })

const file = z
  .object({
    version: z.union([z.string(), z.number()]).optional(),
    services: z.record(z.string(), service).optional(),
    agent: agentSchema.nullish(),
  })
  .catchall(z.unknown())

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

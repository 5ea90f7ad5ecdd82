/** The API's description for tools (OpenAPI 3.1). */

import { VERSION } from "../version.ts"
import { API_VERSIONS } from "./api_version.ts"

/** A body that is text, or one schema in JSON and YAML. */
const inEachFormat = (schema: object) => ({
  "text/plain": { schema: { type: "string" } },
  "application/json": { schema },
  "application/yaml": { schema },
})

const VALUE = inEachFormat({ description: "A scalar, a list or a map" })
const ERROR = inEachFormat({
  type: "object",
  required: ["code", "message", "type"],
  properties: {
    code: { type: "integer" },
    message: { type: "string" },
    type: { const: "error" },
  },
})

const VERSION_PARAMETER = {
  name: "version",
  in: "path",
  required: true,
  schema: { enum: [...API_VERSIONS] },
}
const WAIT = [
  {
    name: "wait",
    in: "query",
    description: "true: answer when the value is another than `value`",
    schema: { type: "string", enum: ["true", "false"] },
  },
  {
    name: "value",
    in: "query",
    description: "The value that the client knows; needed with wait",
    schema: { type: "string" },
  },
  {
    name: "maxWait",
    in: "query",
    description: "Seconds to wait at most",
    schema: { type: "integer", default: 60, maximum: 120 },
  },
]

/** The description; `{path}` stands for segments as deep as the tree goes. */
export function openApi(): object {
  return {
    openapi: "3.1.0",
    info: {
      title: "Container metadata",
      version: VERSION,
      description:
        "Who a container is and what is around it. `self` is decided by the source address. Maps are entered by key, lists by index or by the name or uuid of an element.",
    },
    paths: {
      "/": { get: operation("The versions", []) },
      "/{version}": { get: operation("Everything that a version knows", [VERSION_PARAMETER]) },
      "/{version}/{path}": {
        get: operation("One part of it", [
          VERSION_PARAMETER,
          {
            name: "path",
            in: "path",
            required: true,
            description: "Segments such as self/container/name or services/web/containers/0",
            schema: { type: "string" },
          },
          ...WAIT,
        ]),
      },
    },
  }
}

function operation(summary: string, parameters: readonly object[]): object {
  return {
    summary,
    parameters,
    responses: {
      "200": { description: "The value, in the format that Accept asks for", content: VALUE },
      "304": { description: "It has the ETag of If-None-Match" },
      "403": { description: "Asked from outside the managed networks", content: ERROR },
      "404": { description: "No such version, or nothing at that path", content: ERROR },
    },
  }
}

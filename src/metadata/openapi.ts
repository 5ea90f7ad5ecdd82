/** The API's description for tools (OpenAPI 3.1). */

import { VERSION } from "../version.ts"
import { API_VERSIONS } from "./api_version.ts"

const ANY = { description: "A scalar, a list or a map" }
const FORMATS = {
  "text/plain": { schema: { type: "string" } },
  "application/json": { schema: ANY },
  "application/yaml": { schema: ANY },
}

const ERROR = {
  type: "object",
  required: ["code", "message", "type"],
  properties: {
    code: { type: "integer" },
    message: { type: "string" },
    type: { const: "error" },
  },
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
      "/{version}": { get: operation("Everything that a version knows", [versionParameter()]) },
      "/{version}/{path}": {
        get: operation("One part of it", [
          versionParameter(),
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

function versionParameter(): object {
  return { name: "version", in: "path", required: true, schema: { enum: [...API_VERSIONS] } }
}

function operation(summary: string, parameters: readonly object[]): object {
  const error = (description: string) => ({
    description,
    content: {
      "text/plain": { schema: { type: "string" } },
      "application/json": { schema: ERROR },
      "application/yaml": { schema: ERROR },
    },
  })
  return {
    summary,
    parameters,
    responses: {
      "200": { description: "The value, in the format that Accept asks for", content: FORMATS },
      "304": { description: "It has the ETag of If-None-Match" },
      "403": error("Asked from outside the managed networks"),
      "404": error("No such version, or nothing at that path"),
    },
  }
}

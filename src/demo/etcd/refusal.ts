/** What the small etcd refuses, in etcd's words (api/v3rpc/rpctypes/error.go). */

// google/rpc/code.proto
export const INVALID_ARGUMENT = 3
export const NOT_FOUND = 5
export const OUT_OF_RANGE = 11
export const UNIMPLEMENTED = 12

/** A request that is answered with an error. */
export class Refusal extends Error {
  override readonly name = "Refusal"
  readonly code: number

  constructor(code: number, message: string) {
    super(message)
    this.code = code
  }
}

import { failuresInTurn, LariatError, messageOf } from "../../errors.ts"

/** Steps that take back what was done, run newest first when a transaction fails. */
export class Undo {
  readonly #steps: (() => void | Promise<void>)[] = []

  /** Adds the step that takes back what has just been done. */
  push(step: () => void | Promise<void>): void {
    this.#steps.push(step)
  }

  /**
   * Runs every step, newest first, also after one has failed.
   *
   * @returns the error to throw: the one given, with what the undoing could not do added to it
   */
  async failed(error: unknown): Promise<unknown> {
    const faults = await failuresInTurn(this.#steps.reverse())
    if (faults.length === 0) return error
    const more = faults.map(messageOf).join("; ")
    return new LariatError(`${messageOf(error)}; and taking it back failed: ${more}`, {
      code: error instanceof LariatError ? error.code : "internal",
      hint: "the agent takes back the rest when it starts again",
      cause: new AggregateError([error, ...faults]),
    })
  }
}

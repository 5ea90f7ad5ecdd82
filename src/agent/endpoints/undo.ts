import { failuresInTurn, LariatError, messageOf } from "../../errors.ts"

/** Steps that take back what was done, run newest first when a transaction fails. */
export class Undo {
  readonly #steps: (() => void | Promise<void>)[] = []
  #isClean = true

  /** Adds the step that takes back what has just been done. */
  push(step: () => void | Promise<void>): void {
    this.#steps.push(async () => {
      try {
        await step()
      } catch (error) {
        this.#isClean = false
        throw error
      }
    })
  }

  /** Whether every step that has run did its work: what the oldest one may ask. */
  get isClean(): boolean {
    return this.#isClean
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
      hint: "the agent tries again to take back the rest; `lariat status` says whether it could",
      cause: new AggregateError([error, ...faults]),
    })
  }
}

/**
 * The one error type of the project, its stable codes, and the list of errors that a teardown
 * gathers. Every room may import this file; it imports nothing.
 */

/** Stable codes: scripts and the CNI error mapping rely on them. Never rename one. */
export type ErrorCode =
  | "address-outside" // a requested address does not belong to the network
  | "address-taken" // a requested address has another owner
  | "agent-away" // the agent's socket does not answer
  | "bridge-full" // a Linux bridge holds 1,024 ports
  | "bridge-invalid" // the bridge is not there, or is no bridge
  | "busy" // try again later
  | "check-failed" // CHECK found a difference
  | "config-invalid" // YAML, netconf or agent.yml says something impossible
  | "decode" // input is not what its format demands
  | "delegate-failed" // another CNI plugin that we called failed
  | "environment" // CNI_* variables are missing or wrong
  | "field-unsupported" // a field is known but cannot be honoured
  | "ifname-exists" // the container has an interface of that name
  | "internal" // a fault of ours
  | "io" // a file or socket operation failed
  | "kernel" // the kernel refused an operation
  | "kernel-unsupported" // this kernel lacks a feature
  | "mtu-too-small" // nothing sensible fits the MTU
  | "netns-invalid" // the network namespace path is no namespace
  | "network-overlap" // subnets of two networks overlap
  | "network-foreign" // the network is for hosts of another system
  | "network-unknown" // no network of that name
  | "not-attached" // no such endpoint
  | "permission" // the caller may not do this
  | "pool-exhausted" // no address is left
  | "peer-refused" // another host's word does not hold: signature, replay, a claim of another's
  | "store-away" // the shared store does not answer
  | "teardown" // several failures of one teardown
  | "usage" // wrong command line
  | "version-unsupported" // CNI version

/** What a {@link LariatError} carries beside its message. */
export interface ErrorDetails {
  readonly code: ErrorCode
  /** What the user can do about it; one sentence. */
  readonly hint?: string | undefined
  readonly cause?: unknown
}

/**
 * An error that says what failed, on what and why (`message`, of the form
 * "Cannot <do> <what>: <why>"), what to do next (`hint`), with a stable `code` and the `cause`.
 */
export class LariatError extends Error {
  override readonly name: string = "LariatError"
  readonly code: ErrorCode
  readonly hint: string | undefined

  constructor(message: string, details: ErrorDetails) {
    super(message, details.cause === undefined ? undefined : { cause: details.cause })
    this.code = details.code
    this.hint = details.hint
  }
}

/** All failures of one teardown: it goes on after an error and reports every one. */
export class TeardownError extends LariatError {
  override readonly name = "TeardownError"
  readonly errors: readonly unknown[]

  constructor(what: string, errors: readonly unknown[]) {
    super(`Cannot finish ${what}: ${errors.map(messageOf).join("; ")}`, {
      code: "teardown",
      cause: errors[0],
    })
    this.errors = errors
  }
}

/** The text of anything thrown. */
export function messageOf(error: unknown): string {
  return error instanceof Error ? error.message : String(error)
}

/**
 * Runs every step even when some throw, then throws one {@link TeardownError} if any did.
 *
 * @param what names the teardown in the error, for instance "undoing the attach of c1/eth0"
 * @throws TeardownError
 */
export function runAll(what: string, steps: readonly (() => void)[]): void {
  const errors: unknown[] = []
  for (const step of steps) {
    try {
      step()
    } catch (error) {
      errors.push(error)
    }
  }
  throwAny(what, errors)
}

/** {@link runAll} of steps that may take time: each begins when the one before has ended. */
export async function runAllInTurn(what: string, steps: Iterable<() => unknown>): Promise<void> {
  throwAny(what, await failuresInTurn(steps))
}

/** What the steps threw, which are run one after the other whether or not others failed. */
export async function failuresInTurn(steps: Iterable<() => unknown>): Promise<unknown[]> {
  const errors: unknown[] = []
  for (const step of steps) {
    try {
      await step()
    } catch (error) {
      errors.push(error)
    }
  }
  return errors
}

function throwAny(what: string, errors: readonly unknown[]): void {
  if (errors.length > 0) throw new TeardownError(what, errors)
}

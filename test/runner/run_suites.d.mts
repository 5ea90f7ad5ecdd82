/** What the runner's own test calls of it; the runner is plain JavaScript, since it installs the rest. */
import type { Suite } from "./suites.mjs"

export interface Outcome {
  readonly name: string
  readonly passed: number
  readonly failed: number
  readonly skipped: number
  readonly seconds: number
  readonly remark?: string
  readonly output?: string
}

export type Needs = (suite: Suite) => {
  readonly env?: NodeJS.ProcessEnv
  readonly obstacle?: string
  readonly machine?: string
}

export function runSuites(
  root: string,
  suites: readonly Suite[],
  needs: Needs,
  options: { readonly jobs: number; readonly ci: boolean },
): Promise<Outcome[]>

export function runFailedAgain(
  root: string,
  suites: readonly Suite[],
  outcomes: readonly Outcome[],
  needs: Needs,
  options: { readonly ci: boolean },
): Promise<Outcome[]>

export function tableOf(outcomes: readonly Outcome[]): string
export function failuresOf(outcomes: readonly Outcome[]): string
export function closingLine(outcomes: readonly Outcome[]): string
export function succeeded(outcomes: readonly Outcome[]): boolean

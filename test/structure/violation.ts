/** One place that breaks a rule of the house. */
export interface Violation {
  readonly path: string
  readonly line: number
  readonly message: string
}

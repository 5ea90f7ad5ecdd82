/** CNI_ARGS: `KEY=value;KEY=value`, the extra arguments that a runtime hands over. */

/** The pairs of CNI_ARGS that have no key or no `=`. */
export function malformedArgs(text: string): string[] {
  return text.split(";").filter((pair) => pair !== "" && pair.indexOf("=") < 1)
}

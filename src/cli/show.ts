/** Prints a report for people, or for programs as JSON. @returns the exit code of success */
export function show<T>(
  report: T,
  { json = false }: { readonly json?: boolean },
  render: (report: T) => string,
): number {
  console.log(json ? JSON.stringify(report) : render(report))
  return 0
}

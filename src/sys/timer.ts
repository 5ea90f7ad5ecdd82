/** Calls once after so many milliseconds. @returns takes the call back, as long as it has not begun */
export function after(ms: number, call: () => void): () => void {
  const timer = setTimeout(call, ms)
  return () => clearTimeout(timer)
}

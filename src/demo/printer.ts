/** Where a teller writes to: a line at a time, without its end. */
export type WriteLine = (line: string) => void

/** Prints what happens, one step a line. */
export class Printer {
  readonly #color: boolean
  readonly #write: WriteLine
  /** The last line is empty: no need for another. */
  #apart = true

  /** @param options color: default where standard output is a terminal and NO_COLOR is not set */
  constructor(options: { readonly color?: boolean; readonly write?: WriteLine } = {}) {
    this.#color =
      options.color ?? (process.stdout.isTTY === true && process.env.NO_COLOR === undefined)
    const write = options.write ?? ((line) => console.log(line))
    this.#write = (line) => {
      write(line)
      this.#apart = line === ""
    }
  }

  title(text: string): void {
    this.#write("")
    this.#write(this.#paint("1", text))
    this.#write("")
  }

  /** A step that is done, and how long it took. */
  done(text: string, ms?: number): void {
    const time = ms === undefined ? "" : this.#paint("2", `  ${timeText(ms)}`)
    this.#write(`${this.#paint("32", "✓")} ${text}${time}`)
  }

  /** Something to know, that is not as it should be. */
  note(text: string): void {
    this.#write(`${this.#paint("33", "!")} ${text}`)
  }

  /** A heading, and lines below it that stand in. */
  section(heading: string, lines: readonly string[]): void {
    this.#indented(this.#paint("1", heading), lines)
  }

  /** A command, and what it printed. */
  block(command: string, text: string): void {
    this.#indented(this.#paint("36", `$ ${command}`), text.trimEnd().split("\n"))
  }

  /** With an empty line before and after. */
  #indented(head: string, lines: readonly string[]): void {
    if (!this.#apart) this.#write("")
    this.#write(head)
    for (const line of lines) this.#write(`  ${line}`.trimEnd())
    this.#write("")
  }

  #paint(code: string, text: string): string {
    return this.#color ? `\u001b[${code}m${text}\u001b[0m` : text
  }
}

/** Milliseconds as a person reads them. */
function timeText(ms: number): string {
  if (ms >= 1000) return `${(ms / 1000).toFixed(1)} s`
  return `${ms.toFixed(ms < 10 ? 2 : 0)} ms`
}

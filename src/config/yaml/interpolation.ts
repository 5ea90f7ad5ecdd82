/**
 * `${VAR}` in YAML, with the syntax of Docker Compose.
 *
 * The expressions are masked in the text by placeholders of the same length, the text is parsed,
 * and the placeholders in the scalars that are read are expanded. So positions stay right, a value
 * cannot change the structure of the document, `[${A}, ${B}]` works although braces mean a map
 * there, and nothing is said about expressions in comments or in parts that nobody reads.
 * A substituted value is always text, as in the original.
 */

import { closest } from "../edit_distance.ts"

/** Nested defaults, `${A:-${B:-c}}`, deeper than this are refused. */
const MAX_DEPTH = 8

/** The longest expression, characters. Without a bound a line of `${${${` takes quadratic time. */
const MAX_LENGTH = 1024

/** What one expression of the text is. `offset` counts UTF-16 code units from the text's start. */
export interface Expression {
  readonly kind: "variable" | "dollar" | "template" | "malformed"
  readonly offset: number
  readonly text: string
}

/** A text whose expressions are replaced by placeholders of the same length. */
export interface MaskedText {
  readonly text: string
  readonly expressions: readonly Expression[]
}

/** A remark made while expanding; `offset` is the expression's. */
export type Remark = (
  severity: "error" | "warning",
  offset: number,
  message: string,
  hint?: string | undefined,
) => void

/** Variables by name; one that is undefined counts as unset. */
export type Environment = Readonly<Record<string, string | undefined>>

// A placeholder is a lead and a trail character, which number the expression, and fillers, all of
// them private-use characters, which YAML takes as letters. 4096 × 2048 expressions have numbers.
const LEAD = 0xe000
const TRAIL = 0xf000
const TRAIL_BITS = 11
const FILLER = "\uf8ff"
const PLACEHOLDER = /([\ue000-\uefff])([\uf000-\uf7ff])\uf8ff*/g

/** Private-use characters, which {@link mask} needs for itself. */
export const RESERVED_CHARACTERS = /[\ue000-\uf8ff]/g

/** How to write it right. */
export const SYNTAX_HINT = "write $NAME for a variable, $$ for a dollar sign"

const NAME = /^[A-Za-z_][A-Za-z0-9_]*/

/**
 * Masks `$$`, `$NAME`, `${…}` and Go's `{{…}}`. The text must be free of
 * {@link RESERVED_CHARACTERS}.
 */
export function mask(text: string): MaskedText {
  const expressions: Expression[] = []
  let masked = ""
  let done = 0
  for (const expression of expressionsOf(text)) {
    const number = expressions.length
    masked += text.slice(done, expression.offset)
    masked += String.fromCharCode(LEAD + (number >> TRAIL_BITS))
    masked += String.fromCharCode(TRAIL + (number & ((1 << TRAIL_BITS) - 1)))
    masked += FILLER.repeat(expression.text.length - 2)
    done = expression.offset + expression.text.length
    expressions.push(expression)
  }
  return { text: masked + text.slice(done), expressions }
}

function* expressionsOf(text: string): Generator<Expression> {
  const start = /\$|\{\{/g
  for (let match = start.exec(text); match !== null; match = start.exec(text)) {
    const offset = match.index
    const expression = match[0] === "$" ? dollarAt(text, offset) : templateAt(text, offset)
    if (expression === undefined) continue
    yield expression
    start.lastIndex = offset + expression.text.length
  }
}

function templateAt(text: string, offset: number): Expression | undefined {
  const match = /^\{\{[^\r\n]*?\}\}/.exec(text.slice(offset, offset + MAX_LENGTH))
  return match === null ? undefined : { kind: "template", offset, text: match[0] }
}

/** The expression that begins with the dollar sign at `offset`; undefined for a lone one. */
function dollarAt(text: string, offset: number): Expression | undefined {
  const next = text[offset + 1]
  if (next === "$") return { kind: "dollar", offset, text: "$$" }
  if (next !== "{") {
    const name = NAME.exec(text.slice(offset + 1, offset + 257))?.[0]
    return name === undefined ? undefined : { kind: "variable", offset, text: `$${name}` }
  }
  const end = closingBrace(text, offset + 2)
  if (end < 0) return { kind: "malformed", offset, text: "${" }
  const whole = text.slice(offset, end + 1)
  return {
    kind: splitVariable(whole) === undefined ? "malformed" : "variable",
    offset,
    text: whole,
  }
}

/** Where the brace that closes an expression stands, on the same line; -1 when it is not there. */
function closingBrace(text: string, from: number): number {
  let depth = 1
  const most = Math.min(text.length, from + MAX_LENGTH)
  for (let i = from; i < most; i++) {
    const c = text[i]
    if (c === "\n" || c === "\r") return -1
    if (c === "}" && --depth === 0) return i
    if (c === "$" && text[i + 1] === "{") {
      depth++
      i++
    }
  }
  return -1
}

interface Variable {
  readonly name: string
  /** `:-` and so on; empty when there is none. */
  readonly operator: string
  readonly word: string
}

function splitVariable(text: string): Variable | undefined {
  if (!text.startsWith("${")) return { name: text.slice(1), operator: "", word: "" }
  const match = /^\$\{([A-Za-z_][A-Za-z0-9_]*)(?:(:?[-?+])(.*))?\}$/s.exec(text)
  if (match === null) return undefined
  return { name: match[1] ?? "", operator: match[2] ?? "", word: match[3] ?? "" }
}

/** Puts the values in the place of the placeholders of one scalar. */
export function expand(
  scalar: string,
  expressions: readonly Expression[],
  env: Environment,
  remark: Remark,
): string {
  const expansion = new Expansion(env, remark)
  return replaced(scalar, expressions, (expression) => expansion.resolve(expression))
}

/** The text as it stood before masking. */
export function unmask(text: string, expressions: readonly Expression[]): string {
  return replaced(text, expressions, (expression) => expression.text)
}

function replaced(
  text: string,
  expressions: readonly Expression[],
  textOf: (expression: Expression) => string,
): string {
  return text.replace(PLACEHOLDER, (_, lead: string, trail: string) => {
    const number = ((lead.charCodeAt(0) - LEAD) << TRAIL_BITS) + trail.charCodeAt(0) - TRAIL
    const expression = expressions[number]
    return expression === undefined ? "" : textOf(expression)
  })
}

class Expansion {
  readonly #env: Environment
  readonly #remark: Remark

  constructor(env: Environment, remark: Remark) {
    this.#env = env
    this.#remark = remark
  }

  resolve({ kind, offset, text }: Expression, depth = 0): string {
    if (kind === "dollar") return "$"
    if (kind === "template") {
      const message = `the Go template ${text} stands where a value is wanted`
      const hint = "render the template first, or write the value in its place"
      this.#remark("error", offset, message, hint)
      return ""
    }
    const variable = kind === "malformed" ? undefined : splitVariable(text)
    if (variable !== undefined && depth <= MAX_DEPTH) {
      return this.#substitute(variable, offset, depth)
    }
    const why = variable === undefined ? "is no variable" : "is nested too deeply"
    this.#remark("error", offset, `${text} ${why}`, SYNTAX_HINT)
    return ""
  }

  /** The rules of Compose: `-` default, `?` required, `+` replacement; a colon treats empty as unset. */
  #substitute({ name, operator, word }: Variable, offset: number, depth: number): string {
    const value = Object.hasOwn(this.#env, name) ? this.#env[name] : undefined
    const there = value !== undefined && !(operator.startsWith(":") && value === "")
    switch (operator.at(-1)) {
      case "-":
        return there ? value : this.#word(word, offset, depth + 1)
      case "+":
        return there ? this.#word(word, offset, depth + 1) : ""
      case "?":
        if (!there) {
          this.#remark("error", offset, `the variable ${name} is not set`, word || undefined)
        }
        return value ?? ""
      default: {
        if (value !== undefined) return value
        const names = Object.keys(this.#env).filter((other) => this.#env[other] !== undefined)
        const meant = closest(name, names)
        const hint = meant === undefined ? "" : `, did you mean ${meant}`
        const message = `the variable ${name} is not set, an empty text stands for it${hint}`
        this.#remark("warning", offset, message)
        return ""
      }
    }
  }

  #word(word: string, offset: number, depth: number): string {
    let text = ""
    let done = 0
    for (const inner of expressionsOf(word)) {
      text += word.slice(done, inner.offset) + this.resolve({ ...inner, offset }, depth)
      done = inner.offset + inner.text.length
    }
    return text + word.slice(done)
  }
}

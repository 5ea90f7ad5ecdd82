/** From the text of a file to a parsed YAML document: what can be wrong before values matter. */

import { type Document, isMap, isNode, isScalar, parseAllDocuments } from "yaml"
import { type Report, showValue } from "../diagnostic.ts"
import { YamlFile } from "./file.ts"
import {
  type Environment,
  type MaskedText,
  mask,
  RESERVED_CHARACTERS,
  unmask,
} from "./interpolation.ts"
import { linesOf, positionIn } from "./line_position.ts"

/** UTF-16 code units. A network_driver file has a few hundred lines. */
export const MAX_FILE_CHARACTERS = 262_144
/** Syntax errors that are told per file: after the first few they follow from each other. */
const MAX_SYNTAX_ERRORS = 10

/**
 * Parses a file. What is wrong goes into the report, with its position; nothing is thrown.
 *
 * @returns undefined when the text cannot be read at all
 */
export function parseYamlFile(
  file: { readonly path: string; readonly text: string },
  report: Report,
  env: Environment,
): YamlFile | undefined {
  const name = file.path
  const lines = linesOf(file.text)
  const say = (severity: "error" | "warning", offset: number, message: string, hint?: string) => {
    const position = positionIn(name, lines, offset)
    report.add({ severity, position, path: [], message, hint })
  }
  if (file.text.length > MAX_FILE_CHARACTERS) {
    say("error", 0, `the file is larger than ${MAX_FILE_CHARACTERS} characters`)
    return undefined
  }
  if (!checkCharacters(file.text, say) || !checkTemplates(file.text, say)) return undefined
  const masked = mask(file.text.replace(RESERVED_CHARACTERS, "\ufffd"))
  const documents = parseWithoutPages(masked, say)
  if (documents === undefined) return undefined
  const [document, second] = documents
  if (second !== undefined) {
    say("error", second.range[0], "a second YAML document begins here", "use one file for each")
  }
  const problems = [
    ...(document?.errors ?? []).map((problem) => ({ severity: "error" as const, problem })),
    ...(document?.warnings ?? []).map((problem) => ({ severity: "warning" as const, problem })),
  ]
  for (const { severity, problem } of problems.slice(0, MAX_SYNTAX_ERRORS)) {
    const message = unmask(problem.message, masked.expressions)
    say(severity, problem.pos[0], `YAML: ${message}`)
  }
  // After a syntax error the structure is a guess, and what is said about it would mislead.
  if (document !== undefined && document.errors.length > 0) return undefined
  const root = isNode(document?.contents) ? document.contents : undefined
  const isEmpty = root === undefined || (isScalar(root) && root.value === null)
  if (!isEmpty && !isMap(root)) {
    const kind = isScalar(root) ? showValue(root.value) : "a list"
    say("error", root.range?.[0] ?? 0, `the root of the file must be a map, is ${kind}`)
    return undefined
  }
  return new YamlFile({ name, lines, masked, root }, report, env)
}

type Say = (severity: "error" | "warning", offset: number, message: string, hint?: string) => void

/**
 * Parses a text, and where that fails, the text without its `.catalog` block. The block is for the
 * catalogue's pages alone, and released files have syntax errors in it that nobody met, since their
 * server read it apart from the rest.
 */
function parseWithoutPages(masked: MaskedText, say: Say): Document.Parsed[] | undefined {
  const { text } = masked
  const documents = parse(text, say)
  const [problem] = documents?.[0]?.errors ?? []
  const block = /^(?:\.catalog|'\.catalog'|"\.catalog"):.*\n(?:(?:[ \t#].*)?\n)*/m.exec(text)
  if (problem === undefined || block === null) return documents
  const blank = block[0].replace(/[^\n]/g, " ")
  const end = block.index + blank.length
  const rest = parse(text.slice(0, block.index) + blank + text.slice(end), say)
  if (rest?.some(({ errors }) => errors.length > 0) !== false) return documents
  const message = unmask(problem.message, masked.expressions)
  const what = `the block .catalog is not YAML and is left out: ${message}`
  say("warning", problem.pos[0], what, "it describes the catalogue's page, nothing here needs it")
  return rest
}

function parse(text: string, say: Say): Document.Parsed[] | undefined {
  try {
    // Duplicate keys are found while evaluating: the parser's own search takes quadratic time.
    const options = { prettyErrors: false, uniqueKeys: false, logLevel: "error" } as const
    const documents = parseAllDocuments(text, options)
    return Array.isArray(documents) ? documents : []
  } catch (error) {
    // The parser recurses, and input that nests deep enough exhausts the stack.
    say("error", 0, `the file cannot be parsed: ${String(error)}`)
    return undefined
  }
}

/** Finds characters that no YAML file may have. Returns false when there is no use in parsing. */
function checkCharacters(text: string, say: Say): boolean {
  // By class: Biome refuses control characters that are named in a pattern.
  const control = text.search(/[^\P{Cc}\t\n\r\u0085]/u)
  if (control >= 0) {
    const code = text.charCodeAt(control).toString(16).padStart(4, "0")
    say("error", control, `a control character U+${code.toUpperCase()}`, "is this a text in UTF-8")
    return false
  }
  const broken = text.search(/\ufffd/)
  if (broken >= 0) say("error", broken, "bytes that are not UTF-8", "save the file as UTF-8")
  const reserved = text.search(RESERVED_CHARACTERS)
  if (reserved >= 0) {
    say("warning", reserved, "a private-use character, which is read as U+FFFD")
  }
  return true
}

/** A line that is a Go template alone decides about other lines: such a file cannot be read. */
function checkTemplates(text: string, say: Say): boolean {
  const line = /^[ \t]*(\{\{[^\n]*\}\})[ \t]*\r?$/gm
  const hint = "render the template first, then give the result"
  let found = 0
  for (let match = line.exec(text); match !== null && found < MAX_SYNTAX_ERRORS; found++) {
    const what = match[1] ?? ""
    const offset = match.index + match[0].indexOf("{")
    say("error", offset, `the file is a template: ${showValue(what)} stands for whole lines`, hint)
    match = line.exec(text)
  }
  return found === 0
}

/** A TypeScript file as the rules see it: tokens without comments, and what it imports. */
import { SyntaxKind } from "typescript/unstable/ast"
import { createScanner } from "typescript/unstable/ast/scanner"

/** One token; `value` is a string literal's content, else the text itself. */
export interface Token {
  readonly kind: SyntaxKind
  readonly value: string
  readonly line: number
  /** Whether a line break stands before it. */
  readonly startsLine: boolean
}

/** One import or re-export, or a worker that is started by its URL. */
export interface Import {
  readonly specifier: string
  readonly line: number
}

/** A parsed file; `path` is relative to the checkout, with slashes. */
export interface SourceFile {
  readonly path: string
  readonly text: string
  readonly tokens: readonly Token[]
  readonly imports: readonly Import[]
}

/** Parses a file's text as far as the rules need it. */
export function parseSource(path: string, text: string): SourceFile {
  const tokens = tokensOf(text)
  return { path, text, tokens, imports: importsOf(tokens) }
}

/** Whether the path is that of a test. */
export function isTest(path: string): boolean {
  return path.endsWith(".test.ts")
}

/** After one of these a slash divides; anywhere else it begins a regular expression. */
const ENDS_OPERAND: ReadonlySet<SyntaxKind> = new Set([
  SyntaxKind.Identifier,
  SyntaxKind.NumericLiteral,
  SyntaxKind.BigIntLiteral,
  SyntaxKind.StringLiteral,
  SyntaxKind.NoSubstitutionTemplateLiteral,
  SyntaxKind.TemplateTail,
  SyntaxKind.RegularExpressionLiteral,
  SyntaxKind.CloseParenToken,
  SyntaxKind.CloseBracketToken,
  SyntaxKind.CloseBraceToken,
  SyntaxKind.ThisKeyword,
])

function tokensOf(text: string): Token[] {
  const scanner = createScanner(true)
  scanner.setText(text)
  const tokens: Token[] = []
  // Open braces: true where a template's expression began, false for any other.
  const braces: boolean[] = []
  let line = 1
  let counted = 0
  for (let kind = scanner.scan(); kind !== SyntaxKind.EndOfFile; kind = scanner.scan()) {
    const slash = kind === SyntaxKind.SlashToken || kind === SyntaxKind.SlashEqualsToken
    if (slash && !ENDS_OPERAND.has(tokens.at(-1)?.kind ?? SyntaxKind.Unknown)) {
      kind = scanner.reScanSlashToken()
    }
    if (kind === SyntaxKind.OpenBraceToken) braces.push(false)
    if (kind === SyntaxKind.TemplateHead) braces.push(true)
    if (kind === SyntaxKind.CloseBraceToken && braces.at(-1) === true) {
      kind = scanner.reScanTemplateToken(false)
    }
    if (kind === SyntaxKind.CloseBraceToken || kind === SyntaxKind.TemplateTail) braces.pop()
    const start = scanner.getTokenStart()
    for (; counted < start; counted++) if (text[counted] === "\n") line += 1
    tokens.push({
      kind,
      value: kind === SyntaxKind.StringLiteral ? scanner.getTokenValue() : scanner.getTokenText(),
      line,
      startsLine: scanner.hasPrecedingLineBreak(),
    })
  }
  return tokens
}

function importsOf(tokens: readonly Token[]): Import[] {
  const imports: Import[] = []
  for (const [index, token] of tokens.entries()) {
    if (token.kind !== SyntaxKind.StringLiteral) continue
    const before = tokens[index - 1]
    const earlier = tokens[index - 2]
    const called = before?.value === "("
    if (
      (before?.kind === SyntaxKind.FromKeyword && earlier?.value !== ".") ||
      before?.kind === SyntaxKind.ImportKeyword ||
      (called && earlier?.kind === SyntaxKind.ImportKeyword) ||
      // Workers are loaded by URL; other URLs of sources are paths, and load nothing.
      (called && earlier?.value === "URL" && token.value.endsWith("_worker.ts"))
    ) {
      imports.push({ specifier: token.value, line: token.line })
    }
  }
  return imports
}

/** Exports of src/ that no source imports, and members of its classes that no source names. */
import { SyntaxKind } from "typescript/unstable/ast"
import { targetOf } from "./rooms.ts"
import { isTest, type SourceFile, type Token } from "./source_file.ts"
import type { Violation } from "./violation.ts"

/** A declaration's name and line. */
interface Name {
  readonly name: string
  readonly line: number
}

/** An export; a type that its file uses is part of what the file's other exports say. */
interface Export extends Name {
  readonly isType: boolean
}

/** Words that may stand between `export` and the name of what it declares. */
const DECLARES: ReadonlySet<string> = new Set([
  ...["abstract", "async", "class", "const", "declare", "enum", "function", "interface", "let"],
  ...["type", "*"],
])
/** Words that may stand before the name of a class's member. */
const MODIFIES: ReadonlySet<string> = new Set([
  ...["public", "static", "readonly", "override", "async", "get", "set", "abstract", "*"],
])

/** Names that no source uses and that are right where they are, each with the reason. */
export const USED_OUTSIDE: Readonly<Record<string, string>> = {
  NF_INET_LOCAL_OUT: "one of the five hooks of a family, listed whole",
  NFTA_FIB_F_DADDR: "the recordings of nft hold it",
  NFT_MSG_NEWGEN: "the recordings of nft hold it",
  NFT_TABLE_F_DORMANT: "tests play with it someone who puts the table to sleep",
  addressType: "the recordings of nft hold it",
  availableCiphers: "live tests ask the kernel what they can expect",
  newPolicy: "live tests make policies as another program does",
  pinNetns: "live tests give namespaces names as ip does; calls to libc belong to src/sys",
  sendFrame: "live tests make frames that taps see; calls to libc belong to src/sys",
  setAlive: "the model of the key ring kills hosts with it",
  unpinNetns: "live tests give namespaces names as ip does; calls to libc belong to src/sys",
}

/**
 * Exports that only tests import or nobody does, and public members that no source names anywhere
 * but where they are declared. An export that its own file uses may be imported by a test, and a
 * type may be exported with what mentions it.
 *
 * @param files of the whole checkout, tests too
 * @param exempt names that something outside the sources uses, each with the reason
 */
export function checkUnused(
  files: readonly SourceFile[],
  exempt: Readonly<Record<string, string>>,
): Violation[] {
  // The build is part of the product: what it alone uses is of use.
  const sources = files.filter(
    ({ path }) => (path.startsWith("src/") && !isTest(path)) || path === "build.ts",
  )
  const bySources = importedNames(sources)
  const byTests = importedNames(
    files.filter(({ path }) => path.startsWith("test/") || isTest(path)),
  )
  const mentions = mentionedNames(sources)
  const found: Violation[] = []
  const needed = new Set<string>()
  const excused = (name: string): boolean => {
    if (Object.hasOwn(exempt, name)) needed.add(name)
    return needed.has(name)
  }
  for (const file of sources) {
    for (const { name, line, isType } of exportsOf(file.tokens)) {
      if (imports(bySources, file.path, name) || excused(name)) continue
      const usedHere = file.tokens.filter(({ value }) => value === name).length > 1
      if (usedHere && (isType || imports(byTests, file.path, name))) continue
      const message = usedHere ? `exports ${name} to nobody` : `nobody uses ${name}`
      found.push({ path: file.path, line, message })
    }
    for (const { name, line } of membersOf(file.tokens)) {
      if ((mentions.get(name) ?? 0) > 0 || excused(name)) continue
      found.push({ path: file.path, line, message: `nobody uses the member ${name}` })
    }
  }
  for (const name of Object.keys(exempt)) {
    if (!needed.has(name)) found.push({ path: name, line: 1, message: "need not be excused" })
  }
  return found
}

/** The names that files import, by the path they come from; `*` stands for all of them. */
function importedNames(files: readonly SourceFile[]): Map<string, Set<string>> {
  const names = new Map<string, Set<string>>()
  for (const file of files) {
    for (const [index, token] of file.tokens.entries()) {
      if (token.kind !== SyntaxKind.StringLiteral) continue
      const path = targetOf(file, token.value)
      if (path === undefined) continue
      const known = names.get(path) ?? new Set()
      for (const name of namesBefore(file.tokens, index)) known.add(name)
      names.set(path, known)
    }
  }
  return names
}

/** What the import or re-export whose file's name stands at `index` names. */
function namesBefore(tokens: readonly Token[], index: number): string[] {
  if (tokens[index - 1]?.kind !== SyntaxKind.FromKeyword) return ["*"]
  if (tokens[index - 3]?.value === "as") return namesIn(tokens, tokens[index - 2]?.value ?? "")
  if (tokens[index - 2]?.value !== "}") return ["*"]
  const names: string[] = []
  for (let at = index - 3; at >= 0 && tokens[at]?.value !== "{"; at--) {
    const token = tokens[at]
    const renamed = tokens[at - 1]?.value === "as"
    if (token !== undefined && token.value !== "," && !renamed) names.push(token.value)
  }
  return names
}

/** What a file names of a whole module; all of it where the module itself is handed on. */
function namesIn(tokens: readonly Token[], whole: string): string[] {
  return tokens.flatMap(({ value }, index) => {
    if (value !== whole || tokens[index - 1]?.value === "as") return []
    return tokens[index + 1]?.value === "." ? [tokens[index + 2]?.value ?? "*"] : ["*"]
  })
}

function imports(imported: Map<string, Set<string>>, path: string, name: string): boolean {
  const names = imported.get(path)
  return names !== undefined && (names.has(name) || names.has("*"))
}

function exportsOf(tokens: readonly Token[]): Export[] {
  const names: Export[] = []
  for (const [index, { kind, line }] of tokens.entries()) {
    if (kind !== SyntaxKind.ExportKeyword) continue
    let at = index + 1
    while (DECLARES.has(tokens[at]?.value ?? "") && tokens[at + 1]?.value !== "=") at += 1
    const name = tokens[at]
    if (name !== undefined && name.kind === SyntaxKind.Identifier) {
      const isType = ["interface", "type"].includes(tokens[at - 1]?.value ?? "")
      names.push({ name: name.value, line, isType })
    }
    if (name?.value !== "{") continue
    for (at += 1; at < tokens.length && tokens[at]?.value !== "}"; at++) {
      const token = tokens[at]
      const last = [",", "}"].includes(tokens[at + 1]?.value ?? "")
      if (token === undefined || token.value === "," || !last) continue
      names.push({ name: token.value, line, isType: false })
    }
  }
  return names
}

/** Public members that classes declare; private ones are the compiler's business. */
function membersOf(tokens: readonly Token[]): Name[] {
  const names: Name[] = []
  for (const [index, { kind }] of tokens.entries()) {
    if (kind !== SyntaxKind.ClassKeyword) continue
    let at = index
    while (at < tokens.length && tokens[at]?.value !== "{") at += 1
    // A member begins where the class is at its own level and a statement has just ended.
    for (let [depth, begins] = [1, true]; depth > 0 && ++at < tokens.length; ) {
      const token = tokens[at]
      if (token === undefined) break
      if (depth === 1 && (begins || token.startsLine)) {
        while (MODIFIES.has(tokens[at]?.value ?? "") && startsMember(tokens[at + 1])) at += 1
        const name = tokens[at]
        const after = tokens[at + 1]?.value ?? ""
        const plain = name?.kind === SyntaxKind.Identifier && name.value !== "constructor"
        if (name !== undefined && plain && ["(", "<", ":", "=", "?", ";"].includes(after)) {
          names.push({ name: name.value, line: name.line })
        }
      }
      const { value } = tokens[at] ?? token
      if (["{", "(", "["].includes(value) || tokens[at]?.kind === SyntaxKind.TemplateHead)
        depth += 1
      if (["}", ")", "]"].includes(value) || tokens[at]?.kind === SyntaxKind.TemplateTail)
        depth -= 1
      begins = value === "}" || value === ";"
    }
  }
  return names
}

function startsMember(token: Token | undefined): boolean {
  return token !== undefined && !["(", "<", ":", "=", "?", ";", "}"].includes(token.value)
}

/** How often sources say each name otherwise than to declare a class member. */
function mentionedNames(files: readonly SourceFile[]): Map<string, number> {
  const counts = new Map<string, number>()
  for (const { tokens } of files) {
    for (const { value } of tokens) counts.set(value, (counts.get(value) ?? 0) + 1)
    for (const { name } of membersOf(tokens)) counts.set(name, (counts.get(name) ?? 0) - 1)
  }
  return counts
}

/** The README leads where it says: every link within it and into the checkout resolves. */
import { expect, test } from "bun:test"
import { existsSync, readFileSync } from "node:fs"
import { join } from "node:path"

const ROOT = join(import.meta.dirname, "..")
const readme = readFileSync(join(ROOT, "README.md"), "utf8")
// What is in a code block is no heading.
const text = readme.replaceAll(/^```[\s\S]*?^```$/gm, "")

/** The anchor that GitHub gives a heading. */
function anchorOf(heading: string): string {
  return heading
    .toLowerCase()
    .replaceAll(/[^\p{L}\p{N}_\- ]/gu, "")
    .replaceAll(" ", "-")
}

const headings = [...text.matchAll(/^(#{2,}) (.+)$/gm)].map(([, marks = "", title = ""]) => ({
  level: marks.length,
  anchor: `#${anchorOf(title)}`,
}))
const targets = [
  ...[...text.matchAll(/\]\(([^)\s]+)\)/g)].map(([, target = ""]) => target),
  ...[...text.matchAll(/\b(?:src|srcset)="([^"]+)"/g)].map(([, target = ""]) => target),
].filter((target) => !/^https?:/.test(target))

test("links lead somewhere", () => {
  expect(targets.length).toBeGreaterThan(10)
  const anchors = new Set(headings.map(({ anchor }) => anchor))
  expect(anchors.size).toBe(headings.length)
  const missing = targets.filter((target) =>
    target.startsWith("#") ? !anchors.has(target) : !existsSync(join(ROOT, target)),
  )
  expect(missing).toEqual([])
})

test("the contents name every section", () => {
  const named = new Set(targets)
  const sections = headings.filter(({ level, anchor }) => level === 2 && anchor !== "#contents")
  expect(sections.filter(({ anchor }) => !named.has(anchor))).toEqual([])
})

/** The page for people, in a browser. */
import { afterAll, beforeAll, expect, test } from "bun:test"
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { requireTestNetns } from "../netns/guard.ts"
import { MetadataServe } from "../netns/metadata_server.ts"
import { Browser } from "./browser.ts"
import { waitFor } from "./program.ts"

requireTestNetns()

const FIXTURE = join(import.meta.dir, "../fixtures/metadata/objects.json")
/** Where pictures go, to be looked at; none are taken without. */
const { LARIAT_PICTURES } = process.env

const EVIL = [
  "<script>window.caught = 1</script>",
  "<img src=x onerror='window.caught = 1'>",
  "<svg onload=window.caught=1>",
  '"><iframe srcdoc="<script>top.caught=1</script>">',
  "javascript:window.caught=1",
]
const HOSTILE = {
  metadata_kind: "container",
  uuid: "hostile",
  name: EVIL[1],
  state: EVIL[2],
  labels: Object.fromEntries(
    EVIL.flatMap((text) => [
      [text, text],
      [`${text}/../x`, "y"],
    ]),
  ),
}

let directory: string
let objects: string
let server: MetadataServe
let browser: Browser

beforeAll(async () => {
  directory = mkdtempSync(join(tmpdir(), "lariat-page-"))
  objects = join(directory, "objects.json")
  write(HOSTILE)
  server = await MetadataServe.start(objects, 7083)
  browser = await Browser.open()
  await browser.look(1100, 800, "light")
}, 90_000)

afterAll(async () => {
  await browser?.close()
  await server?.stop()
  rmSync(directory, { recursive: true, force: true })
})

function write(...more: readonly object[]): void {
  writeFileSync(objects, JSON.stringify([...JSON.parse(readFileSync(FIXTURE, "utf8")), ...more]))
}

const hash = () => browser.evaluate<string>("location.hash")

async function picture(name: string): Promise<void> {
  if (LARIAT_PICTURES === undefined) return
  writeFileSync(join(LARIAT_PICTURES, `${name}.png`), await browser.picture())
}

test("a person clicks down to a value, and back", async () => {
  await browser.go(server.url("/"))
  await browser.sees("containers")
  await picture("root")
  await browser.click("containers")
  await browser.sees("default-web-1")
  await picture("containers")
  await browser.click("default-web-1")
  await browser.sees("10.42.10.1")
  expect(await hash()).toMatch(/^#\/latest\/containers\/\d+$/)
  await picture("container")
  await browser.click("labels")
  await browser.sees("io.rancher.stack.name")
  await picture("labels")
  await browser.back()
  await browser.sees("primary_ip")
  await browser.click("latest", "#path")
  await browser.sees("region_name")
  expect(await hash()).toBe("#/latest")
})

test("another version is a click away, at the same place", async () => {
  await browser.go(server.url("/#/latest/stacks"))
  await browser.sees("default")
  await browser.click("2015-12-19")
  await browser.sees("Default")
  expect(await hash()).toBe("#/2015-12-19/stacks")
})

test("what is not there is said", async () => {
  await browser.go(server.url("/#/latest/nowhere"))
  await browser.sees("Not found")
  // The browser notes a failed request itself.
  expect(browser.complaints.every((text) => text.includes("404"))).toBe(true)
  browser.complaints.length = 0
})

test("names, labels and values are text, whatever they are", async () => {
  await browser.go(server.url("/#/latest/containers"))
  await browser.sees(EVIL[1] ?? "")
  await browser.click(EVIL[1] ?? "")
  await browser.sees(EVIL[2] ?? "")
  await browser.click("labels")
  for (const text of EVIL) await browser.sees(text)
  await picture("hostile")
  const made = "document.querySelectorAll('main img, main script, main svg, iframe').length"
  expect(await browser.evaluate<number>(made)).toBe(0)
  expect(await browser.evaluate<boolean>("'caught' in window")).toBe(false)
})

test("an address of another server in the page's own is asked of this one", async () => {
  await browser.go(server.url("/#//evil.example/x"))
  await browser.sees("Invalid version")
  browser.complaints.length = 0
})

test("a change is shown as it comes", async () => {
  await browser.go(server.url("/#/latest/containers"))
  await browser.sees("default-web-1")
  write({ metadata_kind: "container", uuid: "late", name: "late-comer" })
  server.reload()
  await browser.sees("late-comer")
})

test("a long list is filtered", async () => {
  write(
    ...Array.from({ length: 1200 }, (_, at) => ({
      metadata_kind: "container",
      uuid: `u${at}`,
      name: `many-${at}`,
    })),
  )
  server.reload()
  await browser.sees("500 of")
  await browser.evaluate(
    `(() => { const box = document.querySelector("#filter"); box.value = "many-1199"; box.dispatchEvent(new Event("input")) })()`,
  )
  const rows = () => browser.evaluate<number>("document.querySelectorAll('tbody tr').length")
  await waitFor("one row", async () => ((await rows()) === 1 ? true : undefined))
  await picture("filtered")
})

test.each([
  [360, 740, "dark"],
  [360, 740, "light"],
  [1100, 800, "dark"],
] as const)("at %d by %d, %s, nothing is cut off", async (width, height, scheme) => {
  await browser.look(width, height, scheme)
  await browser.go(server.url("/#/latest/self/host"))
  await browser.go(server.url("/#/latest/containers/0"))
  await browser.sees("primary_ip")
  const wide = "document.documentElement.scrollWidth - document.documentElement.clientWidth"
  expect(await browser.evaluate<number>(wide)).toBe(0)
  await picture(`${width}-${scheme}`)
})

test("the page had nothing to complain of", () => {
  expect(browser.complaints).toEqual([])
})

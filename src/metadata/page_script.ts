/**
 * The program of the page for people. It asks nobody but this server; values become text nodes,
 * never HTML.
 */
export const PAGE_SCRIPT = `
"use strict"
const MOST_ROWS = 500
const one = (selector) => document.querySelector(selector)
const [nav, main, filter, versions, note] =
  ["#path", "main", "#filter", "#versions", "#note"].map(one)
const make = (tag, text, more = {}) =>
  Object.assign(document.createElement(tag), { textContent: text, ...more })
const link = (text, path) => make("a", text, { href: "#" + path })
const enterable = (value) => value !== null && typeof value === "object"
const segmentsOf = () => location.hash.slice(1).split("/").filter(Boolean)
const pathOf = (segments) => "/" + segments.join("/")
let shown = { value: null, path: "" }
let asked = 0

function readable(segment) {
  try {
    return decodeURIComponent(segment)
  } catch {
    return segment
  }
}

/** What a list's element is called, and what else is worth a glance. */
function labelOf(item, key, isList) {
  if (!isList || !enterable(item)) return key
  const name = item.name ?? item.uuid
  return typeof name === "string" ? name : key
}

function glance(value) {
  if (value === null) return make("span", "none", { className: "quiet" })
  if (value === "") return make("span", "empty", { className: "quiet" })
  if (!enterable(value)) return make("span", String(value), { className: "value" })
  const size = Array.isArray(value) ? value.length : Object.keys(value).length
  const scalars = Array.isArray(value) && value.length > 0 && value.length <= 4 && !value.some(enterable)
  const facts = [value.state, value.primary_ip, value.agent_ip].filter((fact) => typeof fact === "string")
  if (scalars) return make("span", value.join(", "), { className: "value" })
  if (facts.length > 0) return make("span", facts.join(" · "), { className: "quiet" })
  return make("span", size === 1 ? "1 entry" : size + " entries", { className: "quiet" })
}

function rowOf(key, item, path, isList) {
  const row = make("tr", "")
  const label = labelOf(item, key, isList)
  const head = make("th", "", { scope: "row" })
  head.append(enterable(item) ? link(label, path + "/" + encodeURIComponent(key)) : label)
  const cell = make("td", "")
  cell.append(glance(item))
  row.append(head, cell)
  return row
}

function draw() {
  const { value, path } = shown
  note.textContent = ""
  if (!enterable(value)) {
    filter.hidden = true
    main.replaceChildren(make("p", value === null ? "none" : String(value), { className: "value whole" }))
    return
  }
  const entries = Object.entries(value)
  const wanted = filter.value.toLowerCase()
  filter.hidden = entries.length < 12 && wanted === ""
  const isList = Array.isArray(value)
  const found = entries.filter(([key, item]) => {
    return wanted === "" || (labelOf(item, key, isList) + " " + glance(item).textContent).toLowerCase().includes(wanted)
  })
  const table = make("table", "")
  const body = make("tbody", "")
  body.append(...found.slice(0, MOST_ROWS).map(([key, item]) => rowOf(key, item, path, isList)))
  table.append(body)
  main.replaceChildren(found.length > 0 ? table : make("p", "Nothing here.", { className: "quiet" }))
  if (found.length > MOST_ROWS) note.textContent = MOST_ROWS + " of " + found.length + " are shown."
}

function drawPath(segments) {
  const [version] = segments
  nav.replaceChildren(...segments.map((segment, at) => {
    const item = make("li", "")
    const text = readable(segment)
    const last = at === segments.length - 1
    item.append(last ? make("span", text, { ariaCurrent: "page" }) : link(text, pathOf(segments.slice(0, at + 1))))
    return item
  }))
  for (const option of versions.children) {
    option.firstChild.href = "#" + pathOf([option.textContent, ...segments.slice(1)])
    option.firstChild.ariaCurrent = option.textContent === version ? "true" : null
  }
  const raw = one("#raw")
  raw.textContent = location.origin + pathOf(segments)
  raw.href = pathOf(segments)
}

async function show() {
  const turn = ++asked
  const segments = segmentsOf()
  if (segments.length === 0) return location.replace("#/latest")
  const path = pathOf(segments)
  drawPath(segments)
  document.title = segments.map(readable).join(" / ") + " · Container metadata"
  try {
    const response = await fetch(path, { headers: { Accept: "application/json" } })
    const value = await response.json()
    if (turn !== asked) return
    if (path !== shown.path) filter.value = ""
    if (!response.ok) throw new Error(value.message)
    shown = { value, path }
    draw()
  } catch (error) {
    if (turn !== asked) return
    filter.hidden = true
    note.textContent = ""
    main.replaceChildren(make("p", error.message, { className: "fault" }))
  }
}

/** Shows changes as they come. */
async function follow() {
  let version = ""
  for (;;) {
    try {
      const wait = "/latest/version?wait=true&maxWait=60&value=" + encodeURIComponent(version)
      const response = await fetch(wait)
      if (!response.ok) throw new Error(response.statusText)
      const next = await response.text()
      if (version !== "" && next !== version) await show()
      version = next
      document.body.dataset.live = "yes"
    } catch {
      document.body.dataset.live = "no"
      await new Promise((resolve) => setTimeout(resolve, 5000))
    }
  }
}

async function start() {
  const response = await fetch("/", { headers: { Accept: "application/json" } })
  for (const version of Object.keys(await response.json())) {
    const item = make("li", "")
    item.append(link(version, "/" + version))
    versions.append(item)
  }
  addEventListener("hashchange", show)
  filter.addEventListener("input", draw)
  await show()
  await follow()
}
start()
`

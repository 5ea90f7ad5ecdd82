/**
 * The page for people at `/`: the tree of the newest version, a level at a time. Values are put in
 * as text, never as HTML; the page asks nobody but this server.
 */
export const PAGE = `<!doctype html>
<html lang="en">
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta http-equiv="Content-Security-Policy"
  content="default-src 'none'; connect-src 'self'; style-src 'unsafe-inline'; script-src 'unsafe-inline'">
<title>Container metadata</title>
<style>
  :root { color-scheme: light dark; font: 16px/1.5 system-ui, sans-serif }
  body { max-width: 60rem; margin: 2rem auto; padding: 0 1rem }
  h1 { font-size: 1.3rem }
  nav { margin: 1rem 0; overflow-wrap: anywhere }
  nav a + a::before { content: " / "; color: GrayText; display: inline-block; padding: 0 .3em }
  table { border-collapse: collapse; width: 100% }
  td { border-top: 1px solid color-mix(in srgb, currentColor 20%, transparent);
       padding: .3rem .6rem; vertical-align: top; overflow-wrap: anywhere }
  td:first-child { width: 18rem }
  a { text-decoration: none } a:hover { text-decoration: underline }
  code, .value { font-family: ui-monospace, monospace }
  .none { color: GrayText }
</style>
<h1>Container metadata</h1>
<nav aria-label="Path"></nav>
<main aria-live="polite"></main>
<p class="none">For programs: <code id="address"></code> answers plain text, JSON and YAML by
  Accept. <a href="/openapi.json">Description</a></p>
<script>
const nav = document.querySelector("nav"), main = document.querySelector("main")
const make = (tag, text, more = {}) => Object.assign(document.createElement(tag), { textContent: text, ...more })
const link = (text, path) => make("a", text, { href: "#" + path })
const nameOf = (item, at) => item && typeof item === "object" && typeof (item.name ?? item.uuid) === "string"
  ? at + " " + (item.name ?? item.uuid) : String(at)
function cell(value, path) {
  const td = make("td", "")
  if (value === null || value === "") td.append(make("span", value === null ? "none" : "empty", { className: "none" }))
  else if (typeof value !== "object") td.append(make("span", String(value), { className: "value" }))
  else {
    const size = Array.isArray(value) ? value.length : Object.keys(value).length
    td.append(link(size + (size === 1 ? " entry" : " entries"), path))
  }
  return td
}
async function show() {
  const path = location.hash.slice(1) || "/latest"
  const parts = path.split("/").filter(Boolean)
  nav.replaceChildren(...parts.map((part, at) =>
    link(decodeURIComponent(part), "/" + parts.slice(0, at + 1).join("/"))))
  document.getElementById("address").textContent = location.origin + path
  const response = await fetch(path, { headers: { Accept: "application/json" } })
  const value = await response.json()
  if (!response.ok) return main.replaceChildren(make("p", value.message + ": " + path))
  if (value === null || typeof value !== "object") return main.replaceChildren(make("p", String(value), { className: "value" }))
  const table = make("table", "")
  for (const [key, item] of Object.entries(value)) {
    const below = path.replace(/\\/$/, "") + "/" + encodeURIComponent(key)
    const row = table.insertRow(), first = make("td", "")
    const label = Array.isArray(value) ? nameOf(item, key) : key
    first.append(item !== null && typeof item === "object" ? link(label, below) : label)
    row.append(first, cell(item, below))
  }
  main.replaceChildren(table.rows.length > 0 ? table : make("p", "nothing here", { className: "none" }))
}
addEventListener("hashchange", show)
show()
</script>
`

import { createHash } from "node:crypto"
import { PAGE_SCRIPT } from "./page_script.ts"

const STYLE = `
:root { color-scheme: light dark; font: 16px/1.5 system-ui, sans-serif;
  --ink: light-dark(#1c2127, #e3e6ea); --quiet: light-dark(#5c6670, #9aa4af);
  --link: light-dark(#0b57a4, #86b9f5); --paper: light-dark(#f4f5f7, #15181c);
  --card: light-dark(#fff, #1d2126); --line: light-dark(#dfe3e7, #30363d);
  --fault: light-dark(#a3261c, #ff9d94) }
* { box-sizing: border-box }
body { margin: 0; background: var(--paper); color: var(--ink) }
header, main, footer { max-width: 62rem; margin: 0 auto; padding: 0 1.25rem }
header { padding-top: 1.75rem }
h1 { font-size: 1.25rem; margin: 0; display: inline-block }
h1::after { content: ""; display: inline-block; width: .5rem; height: .5rem; margin-left: .6rem;
  border-radius: 50%; background: var(--line); vertical-align: .15em }
[data-live=yes] h1::after { background: light-dark(#2c8a4b, #57c27c) }
[data-live=no] h1::after { background: var(--fault) }
ul, ol { list-style: none; margin: 0; padding: 0; display: flex; flex-wrap: wrap }
#versions { float: right; gap: .25rem }
#versions a { padding: .15rem .5rem; border-radius: 1rem; font-size: .85rem; color: var(--quiet) }
#versions a[aria-current] { background: var(--line); color: var(--ink) }
#path { margin: 1.1rem 0 .8rem; font-size: 1.05rem; overflow-wrap: anywhere }
#path li + li::before { content: "/"; color: var(--quiet); padding: 0 .45rem }
#path [aria-current] { font-weight: 600 }
a { color: var(--link); text-decoration: none } a:hover { text-decoration: underline }
:focus-visible { outline: 2px solid var(--link); outline-offset: 2px; border-radius: 3px }
#filter { width: 100%; font: inherit; color: inherit; background: var(--card); padding: .4rem .75rem;
  border: 1px solid var(--line); border-radius: .5rem; margin-bottom: .75rem }
table, .whole { width: 100%; background: var(--card); border: 1px solid var(--line);
  border-radius: .6rem; border-spacing: 0; overflow: hidden }
.whole { margin: 0; padding: .9rem 1rem; min-height: 3.3rem }
th, td { padding: .5rem 1rem; text-align: left; vertical-align: top; overflow-wrap: anywhere }
th { font-weight: 500; width: 19rem }
tr + tr > * { border-top: 1px solid var(--line) }
tbody tr:hover { background: color-mix(in srgb, var(--link) 6%, transparent) }
.value { font-family: ui-monospace, monospace; font-size: .9rem; white-space: pre-wrap }
.quiet, footer { color: var(--quiet) }
.fault { color: var(--fault) }
footer { padding: .9rem 1.25rem 2rem; font-size: .85rem; overflow-wrap: anywhere }
@media (max-width: 40rem) {
  header, main, footer { padding-left: .9rem; padding-right: .9rem }
  #versions { float: none; margin: 0 0 .5rem -.4rem; gap: 0 }
  #versions a { padding: .15rem .4rem; font-size: .8rem }
  tr { display: block; padding: .45rem .9rem } tr + tr { border-top: 1px solid var(--line) }
  th, td { display: block; width: auto; padding: 0; border: 0 !important }
}
`

/**
 * The page for people at `/`: the tree, a level at a time, kept up to date as it changes. It is for
 * light and dark screens, wide and narrow ones, and works with the keyboard.
 */
export const PAGE = `<!doctype html>
<html lang="en">
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>Container metadata</title>
<style>${STYLE}</style>
<body>
<header>
<nav aria-label="Version"><ul id="versions"></ul></nav>
<h1>Container metadata</h1>
<nav aria-label="Path"><ol id="path"></ol></nav>
<input id="filter" type="search" placeholder="Filter" aria-label="Filter" autocomplete="off" hidden>
</header>
<main aria-live="polite"></main>
<footer><p id="note" role="status"></p>
<p>For programs: <a id="raw" href="/"></a> answers plain text, JSON or YAML by Accept
(<a href="/openapi.json">OpenAPI</a>).</p></footer>
<noscript>This page needs JavaScript; <a href="/latest">the tree itself</a> does not.</noscript>
<script>${PAGE_SCRIPT}</script>
`

/** The page runs what is in it and nothing else, and talks to nobody but its server. */
export const PAGE_POLICY = [
  "default-src 'none'",
  "connect-src 'self'",
  `style-src '${hashOf(STYLE)}'`,
  `script-src '${hashOf(PAGE_SCRIPT)}'`,
  "base-uri 'none'",
  "form-action 'none'",
  "frame-ancestors 'none'",
].join("; ")

function hashOf(text: string): string {
  return `sha256-${createHash("sha256").update(text).digest("base64")}`
}

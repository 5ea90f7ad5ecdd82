/** HTTP requests that are wrong in every way, and some that are right. */
import type { Random } from "../netns/random.ts"
import { brokenText } from "./mutate.ts"

const METHODS = ["GET", "HEAD", "POST", "OPTIONS", "get", "G\0T", "", "CONNECT", "X".repeat(40)]
const VERSIONS = ["HTTP/1.1", "HTTP/1.0", "HTTP/1.1", "HTTP/2.0", "http/1.1", "HTTP/1.", ""]
const PATHS = [
  "/",
  "/latest",
  "/latest/self/container/name",
  "/2015-07-25/self/service/containers",
  "/2016-07-29/containers/0/labels/io.rancher.stack.name",
  "/latest/services/web/metadata/foo/bar/item/v",
  "/latest/self/service/links/default%2Fdb",
  "/latest/version?wait=true&value=init&maxWait=1",
  "/latest/version?wait=true&value=&maxWait=0",
  "/latest/self/container/ips?wait=true&value=%5Bx%5D&maxWait=-1",
  "/openapi.json",
  "/favicon.ico",
  "/latest/../../etc/passwd",
  "//latest//./self/",
  "/%2e%2e/%00/%ff",
  "http://x/latest/self",
  "*",
]
const PIECES = [
  "/",
  "//",
  "..",
  ".",
  "%",
  "%2",
  "%2f",
  "%00",
  "%u0041",
  "%E0%A4%A",
  "?",
  "&",
  "=",
  "+",
  "#",
  "\0",
  "\t",
  " ",
  "\r",
  "\n",
  "\r\n",
  "\x80",
  "\xff",
  "\xed\xa0\x80",
  "self",
  "SELF",
  "latest",
  "__proto__",
  "constructor",
  "toString",
  "containers",
  "0",
  "-1",
  "99999999999999999999",
  "wait=true",
  "value=",
  "maxWait=1",
]
const FIELDS = [
  "Host: x",
  "Host: x",
  "Host:",
  "Host: a\r\nHost: b",
  "Accept: application/json",
  "Accept: application/yaml;q=0.5, */*",
  "Accept: text/html",
  "Accept: ;;;q=,,/",
  `Accept: ${"application/json,".repeat(300)}`,
  "If-None-Match: *",
  'If-None-Match: W/"x", "y"',
  "Connection: close",
  "Connection: keep-alive, Upgrade",
  "Upgrade: websocket",
  "Content-Length: 5",
  "Content-Length: 5, 6",
  "Content-Length: 99999999999999999999",
  "Content-Length: -1",
  "Transfer-Encoding: chunked",
  "Transfer-Encoding: gzip, chunked",
  "Expect: 100-continue",
  "Range: bytes=0-1",
  "X-Forwarded-For: 10.42.10.1",
  " folded: x",
  "no colon",
  ": no name",
  "bad name: x",
  "\xff: \xff",
]

/** A path that may be anything; without spaces, it can still be sent. */
export function fuzzedTarget(random: Random): string {
  let target = random.pick(PATHS)
  for (let change = random.below(4); change > 0; change--) {
    const at = random.below(target.length + 1)
    target = target.slice(0, at) + random.pick(PIECES) + target.slice(at + random.below(3))
  }
  if (random.chance(0.01)) target += "x/".repeat(random.below(6000))
  return target
}

/** Header fields, right and wrong, by name in lower case. */
export function fuzzedHeaders(random: Random): Map<string, string> {
  const headers = new Map<string, string>()
  for (let count = random.below(4); count > 0; count--) {
    const [name = "", value = ""] = random.pick(FIELDS).split(": ")
    headers.set(name.toLowerCase(), random.chance(0.2) ? brokenText(random, value) : value)
  }
  return headers
}

/** What one client sends: whole requests, broken ones, or no request at all; a character a byte. */
export function fuzzedBytes(random: Random): string {
  if (random.chance(0.1)) return String.fromCharCode(...random.bytes(random.below(400)))
  let text = ""
  for (let count = random.below(3) + 1; count > 0; count--) text += fuzzedRequest(random)
  return text.replace(/[\u0100-\uffff]/g, "?")
}

function fuzzedRequest(random: Random): string {
  const sound = random.chance(0.5)
  const method = sound ? "GET" : random.pick(METHODS)
  const version = sound ? "HTTP/1.1" : random.pick(VERSIONS)
  const lines = [`${method} ${fuzzedTarget(random)} ${version}`]
  if (sound) lines.push("Host: x")
  for (let count = random.below(5); count > 0; count--) lines.push(random.pick(FIELDS))
  if (random.chance(0.01)) for (let line = 0; line < 200; line++) lines.push(`x${line}: y`)
  const end = random.chance(0.95) ? "\r\n\r\n" : random.pick(["", "\r\n", "\n\n", "\r\n\r", "\0"])
  const body = random.chance(0.1) ? "hello" : ""
  const text = lines.join(random.chance(0.97) ? "\r\n" : "\n") + end + body
  return random.chance(0.2) ? brokenText(random, text) : text
}

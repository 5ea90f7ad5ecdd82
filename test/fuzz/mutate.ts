/** Breaking JSON values and texts at random. */
import type { Random } from "../netns/random.ts"

/** A value as JSON has it. */
export type Json = null | boolean | number | string | Json[] | { [key: string]: Json }

/** Values that break programs. */
const SHRAPNEL: readonly Json[] = [
  null,
  true,
  false,
  0,
  -1,
  0.5,
  65_536,
  2 ** 31,
  2 ** 53,
  -(2 ** 53),
  1e308,
  "",
  " ",
  "0",
  "-1",
  "true",
  "null",
  "\u0000",
  "\n",
  "\ud800",
  "\u202e",
  "é".repeat(20),
  "x".repeat(20_000),
  "../../etc/passwd",
  "%d",
  "%s%n",
  "eth%d",
  "$HOME",
  "__proto__",
  "constructor",
  "lo",
  "all",
  "default",
  ".",
  "a/b",
  "0.0.0.0/0",
  "::/0",
  "255.255.255.255",
  "10.42.0.0/33",
  "10.42.0.0/31",
  "10.0.0.0/8",
  "127.0.0.1/8",
  "224.0.0.1/4",
  "169.254.169.250/32",
  "::ffff:10.0.0.1",
  "fd00::/120",
  "fe80::1%eth0",
  "00:00:00:00:00:00",
  "01:00:5e:00:00:01",
  "ff:ff:ff:ff:ff:ff",
  "0.1.0",
  "1.1.0",
  "9.9.9",
  [],
  {},
  [[[[[[[[]]]]]]]],
  [null],
  Array.from({ length: 300 }, (_, index) => index),
  { __proto__: null, constructor: 1 },
  JSON.parse('{"__proto__":{"polluted":true}}'),
  deep(200),
]

function deep(levels: number): Json {
  let value: Json = 1
  for (let level = 0; level < levels; level++) value = level % 2 === 0 ? [value] : { a: value }
  return value
}

/** One place in a value: where it hangs and under what key. */
interface Place {
  readonly parent: Json[] | { [key: string]: Json }
  readonly key: string
}

/** A copy of a list or an object with one to `most` changes in it. */
export function mutated(random: Random, value: Json, most = 4): Json {
  const copy = structuredClone(value)
  for (let change = random.below(most) + 1; change > 0; change--) {
    const places = placesOf(copy)
    if (places.length > 0) breakAt(random, random.pick(places), places)
  }
  return copy
}

function placesOf(value: Json): Place[] {
  if (typeof value !== "object" || value === null) return []
  return Object.keys(value).flatMap((key) => {
    const inner = get({ parent: value, key })
    // What is deep is broken as a whole: each of its levels would be one more place.
    return [{ parent: value, key }, ...(weight(inner) > 200 ? [] : placesOf(inner))]
  })
}

function weight(value: Json): number {
  return JSON.stringify(value)?.length ?? 0
}

function get({ parent, key }: Place): Json {
  return (parent as { [key: string]: Json })[key] ?? null
}

function set({ parent, key }: Place, value: Json): void {
  Object.defineProperty(parent, key, {
    value,
    enumerable: true,
    configurable: true,
    writable: true,
  })
}

function breakAt(random: Random, place: Place, places: readonly Place[]): void {
  const value = get(place)
  switch (random.below(6)) {
    case 0:
      if (Array.isArray(place.parent)) place.parent.splice(Number(place.key), 1)
      else delete place.parent[place.key]
      break
    case 1:
      set(place, structuredClone(get(random.pick(places))))
      break
    case 2:
      if (typeof value === "string") set(place, brokenText(random, value))
      else set(place, random.pick(SHRAPNEL))
      break
    case 3:
      if (Array.isArray(place.parent)) place.parent.push(structuredClone(value))
      else set({ ...place, key: brokenText(random, place.key) }, structuredClone(value))
      break
    case 4:
      set(place, typeof value === "number" ? value + random.pick([1, -1, 0.5, 1e9]) : [value])
      break
    default:
      set(place, structuredClone(random.pick(SHRAPNEL)))
  }
}

/** A text with a few characters changed, cut out or doubled. */
export function brokenText(random: Random, text: string): string {
  let result = text
  for (let change = random.below(3) + 1; change > 0; change--) {
    const at = random.below(result.length + 1)
    const cut = random.below(4)
    const pieces = ["", "/", ".", ":", " ", "0", "-", "%", '"', "\u0000", "é", result.slice(0, 9)]
    result = result.slice(0, at) + random.pick(pieces) + result.slice(at + cut)
  }
  return result
}

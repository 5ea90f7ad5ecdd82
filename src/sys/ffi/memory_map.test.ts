import { expect, test } from "bun:test"
import { readlinkSync } from "node:fs"
import { mappingsOf, parseMappings } from "./memory_map.ts"

const MAPS = `00200000-01a39000 r--p 00000000 fe:00 1  /usr/bin/lariat
01a40000-0684a000 r-xp 01838000 fe:00 1      /usr/bin/lariat
7fe324bc2000-7fe324d18000 r-xp 00026000 fe:00 2   /usr/lib/libc.so.6
7ffd2b3e0000-7ffd2b401000 rw-p 00000000 00:00 0   [stack]
7ffd2b3e0000-7ffd2b401000 rw-p 00000000 00:00 0
`

test("the mappings of the named file are found, with their place in it", () => {
  expect(parseMappings(MAPS, "/usr/bin/lariat")).toEqual([
    { start: 0x200000, length: 0x1839000, offset: 0, permissions: "r--p" },
    { start: 0x1a40000, length: 0x4e0a000, offset: 0x1838000, permissions: "r-xp" },
  ])
  expect(parseMappings(MAPS, "/usr/bin/other")).toEqual([])
  expect(parseMappings("", "/usr/bin/lariat")).toEqual([])
})

test("this program has its own code mapped", () => {
  const own = mappingsOf(readlinkSync("/proc/self/exe"))
  expect(own.some(({ permissions }) => permissions.includes("x"))).toBe(true)
})

import { expect, test } from "bun:test"
import { codeMappings, releaseStartupMemory } from "./memory.ts"

const MAPS = `00200000-01a39000 r--p 00000000 fe:00 1  /usr/bin/lariat
01a40000-0684a000 r-xp 01838000 fe:00 1      /usr/bin/lariat
06867000-06e34000 rw-p 0665e000 fe:00 1      /usr/bin/lariat
7fe324bc2000-7fe324d18000 r-xp 00026000 fe:00 2   /usr/lib/libc.so.6
7ffd2b3e0000-7ffd2b401000 rw-p 00000000 00:00 0   [stack]
`

test("only the code of the named file counts", () => {
  expect(codeMappings(MAPS, "/usr/bin/lariat")).toEqual([{ start: 0x1a40000, length: 0x4e0a000 }])
  expect(codeMappings(MAPS, "/usr/bin/other")).toEqual([])
  expect(codeMappings("", "/usr/bin/lariat")).toEqual([])
})

test("the program goes on after its code was let go", () => {
  releaseStartupMemory()
  expect([3, 1, 2].sort()).toEqual([1, 2, 3])
})

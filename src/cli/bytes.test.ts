import { expect, test } from "bun:test"
import { bytes } from "./bytes.ts"

test.each([
  [0, "0 B"],
  [999, "999 B"],
  [1000, "1.0 kB"],
  [1549, "1.5 kB"],
  [9949, "9.9 kB"],
  [9950, "10 kB"],
  [23_400_000, "23 MB"],
  [999_499_999, "999 MB"],
  [999_500_000, "1.0 GB"],
  [5e18, "5000 PB"],
])("%d is %s", (count, text) => expect(bytes(count)).toBe(text))

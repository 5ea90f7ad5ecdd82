import { expect, test } from "bun:test"
import { malformedArgs } from "./args.ts"

test.each(["", ";", "IP=10.42.0.9", "IgnoreUnknown=1;K8S_POD_NAME=web-0;", "A=b=c;A="])(
  "%p is well formed",
  (text) => expect(malformedArgs(text)).toEqual([]),
)

test.each(["IP", "=x", "A=1;B;C=2", "A=1; "])("%p has one malformed pair", (text) => {
  expect(malformedArgs(text)).toHaveLength(1)
})

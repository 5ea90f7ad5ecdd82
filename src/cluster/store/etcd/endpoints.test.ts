import { expect, test } from "bun:test"
import { Endpoints, parseEndpoints } from "./endpoints.ts"

test("URLs with commas between, or a list; each once", () => {
  const urls = ["https://a:2379", "http://[::1]:2379"]
  expect(parseEndpoints(" https://a:2379/, http://[::1]:2379,https://a:2379,")).toEqual(urls)
  expect(parseEndpoints(urls)).toEqual(urls)
})

test("what is no URL of a member is refused, and no password shown", () => {
  for (const [text, why] of [
    ["", "no URL"],
    [",", "no URL"],
    ["10.0.0.1", "one of its URLs is none"],
    ["ftp://a", "neither http nor https"],
    ["https://a/path", "more than a host and a port"],
    ["https://a?x=1", "more than a host and a port"],
    ["https://root:hunter2@a:2379", "holds a user"],
    [Array.from({ length: 33 }, (_, n) => `http://h${n}`).join(","), "at most 32"],
  ] as const) {
    expect(() => parseEndpoints(text)).toThrow(why)
    expect(() => parseEndpoints(text)).not.toThrow("hunter2")
  }
})

test("the one that answers stays the first; one that fails makes room for the next", () => {
  const endpoints = new Endpoints(["a", "b", "c"], () => 0.4)
  expect(endpoints.inTurn()).toEqual(["b", "c", "a"])
  endpoints.failed("a")
  expect(endpoints.current).toBe("b")
  endpoints.failed("b")
  // Another call had asked it too.
  endpoints.failed("b")
  expect(endpoints.current).toBe("c")
  endpoints.failed("c")
  expect(endpoints.inTurn()).toEqual(["a", "b", "c"])
  endpoints.answered("b")
  expect(endpoints.current).toBe("b")
})

import { expect, test } from "bun:test"
import { lookup as find, type Tree } from "./lookup.ts"

const tree = {
  self: { container: { name: "web-1", ips: ["10.42.0.2"], labels: { A: "x" } } },
  containers: [
    { name: "web-1", uuid: "u1" },
    { name: "db", uuid: "u2", n: null },
  ],
}

const lookup = (from: Tree, path: readonly string[]) => find(from, path)?.value

test("one thing has one path, however it is spelled", () => {
  const many = Array.from({ length: 20 }, (_, n) => ({ name: `n${n}`, uuid: `u${n}` }))
  for (const list of [many, many.slice(0, 10)]) {
    for (const name of ["7", "0000007", "n7", "u7", "N7"]) {
      expect(find({ list }, ["list", name, "uuid"])?.path).toEqual(["list", "7", "uuid"])
    }
  }
  expect(find(tree, ["SELF", "Container"])?.path).toEqual(["self", "container"])
})

test("a map is entered by key, a list by index, name and uuid", () => {
  expect(lookup(tree, ["self", "container", "name"])).toBe("web-1")
  expect(lookup(tree, ["self", "container", "ips", "0"])).toBe("10.42.0.2")
  expect(lookup(tree, ["containers", "1", "name"])).toBe("db")
  expect(lookup(tree, ["containers", "web-1", "uuid"])).toBe("u1")
  expect(lookup(tree, ["containers", "u2", "name"])).toBe("db")
})

test("a path without a match is tried in lower case, keys of the data are not folded", () => {
  expect(lookup(tree, ["containers", "Web-1", "uuid"])).toBe("u1")
  expect(lookup(tree, ["self", "container", "labels", "A"])).toBe("x")
  expect(lookup(tree, ["self", "container", "labels", "a"])).toBeUndefined()
})

test("nothing is found below scalars, null, wrong indices and inherited keys", () => {
  expect(lookup(tree, ["self", "container", "name", "0"])).toBeUndefined()
  expect(lookup(tree, ["containers", "1", "n", "x"])).toBeUndefined()
  expect(lookup(tree, ["containers", "2"])).toBeUndefined()
  expect(lookup(tree, ["containers", "-1"])).toBeUndefined()
  expect(lookup(tree, ["constructor"])).toBeUndefined()
  expect(lookup(tree, ["self", "__proto__"])).toBeUndefined()
})

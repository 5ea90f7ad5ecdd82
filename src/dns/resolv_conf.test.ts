import { expect, test } from "bun:test"
import { parseResolvConf, serversOf } from "./resolv_conf.ts"

test("nameservers in their order, each once, whatever else is in the file", () => {
  const text = `# nameserver 192.0.2.1
search example.com
nameserver 192.0.2.2
\tnameserver   fd00::53   trailing
nameserver fe80::1%eth0
nameserver fd00::54%eth0
nameserver fe80::1%a/b
nameserver 192.0.2.2\r
nameserver not.an.address
nameserver
options rotate`
  expect(parseResolvConf(text).servers).toEqual([
    { address: "192.0.2.2", port: 53 },
    { address: "fd00::53", port: 53 },
    { address: "fe80::1%eth0", port: 53 },
  ])
  expect(serversOf(["fe80::1%eth0", "192.0.2.2"])).toEqual([{ address: "192.0.2.2", port: 53 }])
})

test("a file without any, or with too many", () => {
  expect(parseResolvConf("")).toEqual({ servers: [], search: [] })
  const many = Array.from({ length: 20 }, (_, n) => `nameserver 192.0.2.${n}`).join("\n")
  expect(parseResolvConf(many).servers).toHaveLength(8)
})

test("search domains of the last line that says any, without what is nobody else's", () => {
  const search = (...lines: readonly string[]) => parseResolvConf(lines.join("\n")).search
  expect(search("search Corp.Example. lab.example corp.example", "nameserver 192.0.2.1")).toEqual([
    "corp.example",
    "lab.example",
  ])
  expect(search("search one.example", "domain two.example more")).toEqual(["two.example"])
  expect(search("domain two.example", "search one.example", "#search x.example")).toEqual([
    "one.example",
  ])
  expect(search("search . rancher.internal k.rancher.internal a..b")).toEqual([])
  expect(search(`search ${"abcdefgh".split("").join(" ")}`)).toHaveLength(6)
})

import { expect, test } from "bun:test"
import { encode } from "dns-packet"
import { addressesIn } from "./dns_question.ts"

const ID = 0xabcd

test("the addresses of an answer are found among its records", () => {
  const name = "db.rancher.internal"
  const answers = [
    { name, type: "CNAME", ttl: 1, data: "x.example" },
    { name: "x.example", type: "A", ttl: 1, data: "10.42.0.3" },
    { name: "x.example", type: "AAAA", ttl: 1, data: "fd00::3" },
    { name: "x.example", type: "A", ttl: 1, data: "10.42.0.4" },
  ]
  const questions = [{ name, type: "A" }]
  const answer = encode({ type: "response", id: ID, questions, answers })
  expect(addressesIn(answer, ID)).toEqual(["10.42.0.3", "10.42.0.4"])
  expect(addressesIn(answer, ID + 1)).toEqual([])
  for (let length = 0; length < answer.length; length++) {
    expect(addressesIn(answer.subarray(0, length), ID).length).toBeLessThan(2)
  }
})

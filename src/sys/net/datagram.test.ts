import { expect, test } from "bun:test"
import { Datagrams } from "./datagram.ts"

const HERE = "127.0.0.1"

test("what is sent is received, and what is not is not waited for long", () => {
  const [from, to] = [Datagrams.open(HERE, 0), Datagrams.open(HERE, 23_977)]
  try {
    for (const text of ["a letter", ""]) {
      from.send(new TextEncoder().encode(text), HERE, 23_977)
      expect(new TextDecoder().decode(to.receive(2000))).toBe(text)
    }
    expect(to.receive(5)).toBeUndefined()
  } finally {
    from.close()
    to.close()
    to.close()
  }
})

test("a port that is taken, and no address", () => {
  const first = Datagrams.open(HERE, 23_978)
  try {
    expect(() => Datagrams.open(HERE, 23_978)).toThrow("EADDRINUSE")
    expect(() => first.send(new Uint8Array(1), "nobody", 1)).toThrow("it is no IP address")
    expect(() => first.send(new Uint8Array(70_000), HERE, 1)).toThrow("EMSGSIZE")
  } finally {
    first.close()
  }
})

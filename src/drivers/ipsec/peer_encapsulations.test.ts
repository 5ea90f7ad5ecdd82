import { expect, test } from "bun:test"
import type { StateInfo } from "../../netlink/xfrm/state.ts"
import { PeerEncapsulations } from "./peer_encapsulations.ts"

const OWN = ["192.0.2.1"]
const state = (spi: number, peerPort: number, source = "192.0.2.1") =>
  ({
    source,
    destination: source === "192.0.2.1" ? "192.0.2.2" : "192.0.2.1",
    spi,
    encapsulation: peerPort === 0 ? undefined : { sourcePort: 4500, destinationPort: peerPort },
  }) as StateInfo

test("what is told comes before what was found, also that it is without", () => {
  const all = new PeerEncapsulations()
  all.find(new Map([[7, [state(1, 4501)]]]), OWN, () => undefined)
  const found = { ourPort: 4500, peerPort: 4501, peerAddress: "192.0.2.2" }
  expect(all.of("b", 7)).toEqual(found)
  all.tell("b", undefined)
  expect(all.of("b", 7)).toBeUndefined()
  all.tell("b", { ourPort: 4500, peerPort: 4502 })
  expect(all.of("b", 7)).toEqual({ ourPort: 4500, peerPort: 4502 })
  all.forget("b", 7)
  expect(all.of("b", 7)).toBeUndefined()
})

test("of several the one that is sent on tells, and only what goes out", () => {
  const all = new PeerEncapsulations()
  const states = [state(3, 61_000, "192.0.2.2"), state(1, 4501), state(2, 4502)]
  all.find(new Map([[7, states]]), OWN, () => 2)
  expect(all.of("b", 7)?.peerPort).toBe(4502)
  all.clear()
  all.find(new Map([[7, [state(2, 0), state(1, 4501)]]]), OWN, () => 2)
  expect(all.of("b", 7)).toBeUndefined()
})

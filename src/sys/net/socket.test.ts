import { expect, test } from "bun:test"
import { SystemError } from "../ffi/errno.ts"
import { libc } from "../ffi/libc.ts"
import { deadlineIn } from "../ffi/poll.ts"
import { receiveBy, SocketTimeout, sendBy, setIntOption } from "./socket.ts"

function socketPair(): [number, number] {
  const fds = new Int32Array(2)
  libc.socketpair(1, 1, 0, new Uint8Array(fds.buffer))
  return [fds[0] ?? -1, fds[1] ?? -1]
}

test("a receiver that does not read makes sending end at the deadline", () => {
  const [near, far] = socketPair()
  const much = new Uint8Array(8 * 1024 * 1024)
  expect(() => sendBy(near, much, deadlineIn(20), "send it")).toThrow(SocketTimeout)
  libc.close(near)
  libc.close(far)
})

test("sending to a closed peer is an error and no signal", () => {
  const [near, far] = socketPair()
  libc.close(far)
  expect(() => sendBy(near, new Uint8Array(1), deadlineIn(1000), "send it")).toThrow(
    "Cannot send it: Broken pipe (send: EPIPE)",
  )
  libc.close(near)
})

test("receiving stops when enough is there, at the end, at the limit, or at the deadline", () => {
  const [near, far] = socketPair()
  const receive = (limit: number, enough: number) =>
    receiveBy(far, limit, deadlineIn(20), "receive it", (received) => received >= enough)
  libc.write(near, new Uint8Array(10), 10)
  expect(receive(100, 10).length).toBe(10)
  expect(() => receive(100, 1)).toThrow(SocketTimeout)
  libc.write(near, new Uint8Array(10), 10)
  expect(() => receive(9, 100)).toThrow("exceeds 9 bytes")
  libc.write(near, new Uint8Array(5), 5)
  libc.close(near)
  expect(receive(100, 100).length).toBe(5)
  libc.close(far)
})

test("an option the kernel does not know is an error", () => {
  expect(() => setIntOption(-1, 1, 1, 1)).toThrow(SystemError)
})

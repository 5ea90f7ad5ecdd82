import { describe, expect, test } from "bun:test"
import { AsyncWrite } from "./aio.ts"
import { EBADF, SystemError } from "./ffi/errno.ts"
import { libc } from "./ffi/libc.ts"

async function settled(write: AsyncWrite): Promise<void> {
  for (let i = 0; i < 1000; i++) {
    if (write.isOver()) return
    await new Promise((resolve) => setTimeout(resolve, 1))
  }
  throw new Error("the write never ended")
}

/** Both ends of a stream socket. */
function socketPair(): [number, number] {
  const fds = new Int32Array(2)
  // AF_UNIX, SOCK_STREAM
  expect(libc.socketpair(1, 1, 0, new Uint8Array(fds.buffer))).toBe(0)
  return [fds[0] ?? -1, fds[1] ?? -1]
}

describe("AsyncWrite", () => {
  test("writes to a socket, the bytes as they were when it started", async () => {
    const [near, far] = socketPair()
    const bytes = new TextEncoder().encode("lariat")
    const write = new AsyncWrite(near, bytes)
    bytes.fill(0)
    await settled(write)
    const into = new Uint8Array(16)
    expect(libc.recv(far, into, into.length, 0)).toBe(6)
    expect(new TextDecoder().decode(into.subarray(0, 6))).toBe("lariat")
    expect(write.isOver()).toBe(true)
    libc.close(near)
    libc.close(far)
  })

  test("does not hold up this thread while it blocks", async () => {
    const [near, far] = socketPair()
    const bytes = new Uint8Array(4 * 1024 * 1024).fill(7)
    const write = new AsyncWrite(near, bytes)
    // More than the socket holds: it cannot end before somebody reads.
    expect(write.isOver()).toBe(false)
    const into = new Uint8Array(1024 * 1024)
    let received = 0
    while (received < bytes.length) received += libc.recv(far, into, into.length, 0)
    await settled(write)
    libc.close(near)
    libc.close(far)
  })

  test("tells why a write failed", async () => {
    const failed = settled(new AsyncWrite(9999, new Uint8Array(1)))
    await expect(failed).rejects.toBeInstanceOf(SystemError)
    await expect(failed).rejects.toMatchObject({ errno: EBADF })
  })
})

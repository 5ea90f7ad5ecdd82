import { expect, test } from "bun:test"
import { LariatError } from "../../errors.ts"
import { addressOf, copyFrom, cString, errno, libc } from "./libc.ts"
import { SIGNATURES } from "./libc_symbols.ts"

test("every function of the table exists in this libc", () => {
  for (const name of Object.keys(SIGNATURES)) {
    expect(typeof libc[name as keyof typeof libc]).toBe("function")
  }
})

test("a failure leaves its errno, and another call does not disturb it", () => {
  expect(libc.close(-1)).toBe(-1)
  libc.getpid()
  JSON.stringify(Array.from({ length: 10_000 }, (_, index) => ({ index })))
  expect(errno()).toBe(9)
  expect(libc.open(cString("/no/such/file"), 0, 0)).toBe(-1)
  expect(errno()).toBe(2)
})

test("bytes go out and come in through a socket pair", () => {
  const pair = new Int32Array(2)
  expect(libc.socketpair(1, 1, 0, new Uint8Array(pair.buffer))).toBe(0)
  const [left = -1, right = -1] = pair
  // A subarray: the offset into its buffer must be honoured.
  const sent = Uint8Array.of(0, 1, 2, 3, 4).subarray(2)
  expect(libc.write(left, sent, 3)).toBe(3)
  expect(libc.write(left, new Uint8Array(0), 0)).toBe(0)
  const received = new Uint8Array(8)
  expect(libc.recv(right, received, 8, 0)).toBe(3)
  expect(Array.from(received)).toEqual([2, 3, 4, 0, 0, 0, 0, 0])
  expect(libc.close(left)).toBe(0)
  expect(libc.close(right)).toBe(0)
})

test("sendmsg follows the pointers of a struct msghdr", () => {
  const pair = new Int32Array(2)
  libc.socketpair(1, 2, 0, new Uint8Array(pair.buffer))
  const [left = -1, right = -1] = pair
  const bytes = Uint8Array.of(7, 8, 9)
  const iovec = new Uint8Array(16)
  const iovecView = new DataView(iovec.buffer)
  iovecView.setBigUint64(0, BigInt(addressOf(bytes)), true)
  iovecView.setBigUint64(8, 3n, true)
  const header = new Uint8Array(56)
  const headerView = new DataView(header.buffer)
  headerView.setBigUint64(16, BigInt(addressOf(iovec)), true)
  headerView.setBigUint64(24, 1n, true)
  expect(libc.sendmsg(left, header, 0)).toBe(3)
  const received = new Uint8Array(8)
  expect(libc.read(right, received, 8)).toBe(3)
  expect(Array.from(received.subarray(0, 3))).toEqual([7, 8, 9])
  libc.close(left)
  libc.close(right)
})

test("mmap gives an address that copyFrom and munmap take", () => {
  // PROT_READ, MAP_PRIVATE | MAP_ANONYMOUS
  const address = libc.mmap(0, 4096, 1, 0x22, -1, 0)
  expect(address).toBeGreaterThan(0)
  expect(copyFrom(address, 4096)).toEqual(new Uint8Array(4096))
  expect(libc.munmap(address, 4096)).toBe(0)
})

test("cString refuses a zero byte inside", () => {
  expect(Array.from(cString("ä"))).toEqual([0xc3, 0xa4, 0])
  expect(() => cString("/etc/passwd\0.json")).toThrow(LariatError)
})

test("without the JIT the error says what to change", () => {
  const child = Bun.spawnSync({
    cmd: [
      process.execPath,
      "-e",
      `import {libc} from ${JSON.stringify(`${import.meta.dir}/libc.ts`)}; try { libc.getpid() } catch (error) { console.log(error.code, error.hint) }`,
    ],
    env: { ...process.env, BUN_JSC_useJIT: "0" },
  })
  expect(child.stdout.toString()).toContain("kernel-unsupported")
  expect(child.stdout.toString()).toContain("MemoryDenyWriteExecute")
})

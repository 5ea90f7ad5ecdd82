import { expect, test } from "bun:test"
import { bindUdp, connectUdp } from "./udp.ts"

for (const hostname of ["127.0.0.1", "::1"]) {
  test(`datagrams go and come over ${hostname}, the buffer may be used again`, async () => {
    const server = await bindUdp({ hostname, port: 0 }, (bytes, port, address, send) => {
      const reply = Uint8Array.from([...bytes, 2])
      send(reply, port, address)
      reply.fill(0)
    })
    const got = Promise.withResolvers<Uint8Array>()
    const to = { address: hostname, port: server.port }
    const client = await connectUdp(to, got.resolve, got.reject)
    client.send(Uint8Array.of(1))
    expect([...(await got.promise)]).toEqual([1, 2])
    client.close()
    server.close()
  })
}

test("a sender whose port is forged does no harm", async () => {
  const server = await bindUdp({ hostname: "127.0.0.1", port: 0 }, () => undefined)
  server.send(Uint8Array.of(1), 0, "127.0.0.1")
  server.close()
})

test("a port where nobody is says so", async () => {
  const gone = await bindUdp({ hostname: "127.0.0.1", port: 0 }, () => undefined)
  const { port } = gone
  gone.close()
  const failed = Promise.withResolvers<void>()
  const client = await connectUdp({ address: "127.0.0.1", port }, () => undefined, failed.resolve)
  client.send(Uint8Array.of(1))
  const again = setInterval(() => client.send(Uint8Array.of(1)), 20)
  await failed.promise
  clearInterval(again)
  client.close()
})

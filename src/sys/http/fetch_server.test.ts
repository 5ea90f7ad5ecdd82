import { expect, test } from "bun:test"
import { serveFetch } from "./fetch_server.ts"

const HERE = { hostname: "127.0.0.1", port: 0 }

test("answers with the body that came", async () => {
  const server = serveFetch(HERE, async (request) => new Response(await request.text()))
  try {
    const body = "x".repeat(200_000)
    const response = await fetch(`http://127.0.0.1:${server.port}/a`, { method: "POST", body })
    expect(await response.text()).toBe(body)
  } finally {
    await server.stop()
  }
})

test("a stream comes as it is written, and its client's going is told", async () => {
  const gone = Promise.withResolvers<void>()
  let controller: ReadableStreamDefaultController<Uint8Array> | undefined
  const server = serveFetch(HERE, () => {
    const stream = new ReadableStream<Uint8Array>({
      start: (its) => {
        controller = its
      },
      cancel: () => gone.resolve(),
    })
    return new Response(stream)
  })
  try {
    const end = new AbortController()
    const asked = fetch(`http://127.0.0.1:${server.port}/`, { signal: end.signal })
    while (controller === undefined) await new Promise((resolve) => setTimeout(resolve, 1))
    controller.enqueue(new TextEncoder().encode("one"))
    const reader = (await asked).body?.getReader()
    expect(new TextDecoder().decode((await reader?.read())?.value)).toBe("one")
    controller.enqueue(new TextEncoder().encode("two"))
    expect(new TextDecoder().decode((await reader?.read())?.value)).toBe("two")
    end.abort()
    await gone.promise
  } finally {
    await server.stop()
  }
})

test("stopping ends open streams, and the port is free again", async () => {
  const server = serveFetch(HERE, () => new Response(new ReadableStream({ pull() {} })))
  const asked = fetch(`http://127.0.0.1:${server.port}/`).then((response) => response.text())
  const ended = asked.then(
    () => "ended",
    () => "ended",
  )
  await new Promise((resolve) => setTimeout(resolve, 20))
  await server.stop()
  expect(await ended).toBe("ended")
  const again = serveFetch({ ...HERE, port: server.port }, () => new Response("again"))
  await again.stop()
})

test("an address of another host cannot be listened on", () => {
  expect(() => serveFetch({ hostname: "192.0.2.1", port: 0 }, () => new Response())).toThrow(
    "Cannot serve HTTP on 192.0.2.1",
  )
})

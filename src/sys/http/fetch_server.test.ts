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

test("the handler is told who asks, and an IPv4 address is plain", async () => {
  const server = serveFetch({ hostname: "::", port: 0 }, (_, { address, port }) =>
    Response.json({ address, port: port > 0 }),
  )
  try {
    for (const [host, address] of [
      ["127.0.0.1", "127.0.0.1"],
      ["[::1]", "::1"],
    ]) {
      const answer = await fetch(`http://${host}:${server.port}/`)
      expect(await answer.json()).toEqual({ address, port: true })
    }
  } finally {
    await server.stop()
  }
})

test("a client that hangs up before its answer is heard of", async () => {
  const gone = Promise.withResolvers<void>()
  const asked = Promise.withResolvers<void>()
  const server = serveFetch(HERE, (_, client) => {
    client.gone.addEventListener("abort", () => gone.resolve())
    asked.resolve()
    return gone.promise.then(() => new Response())
  })
  try {
    const end = new AbortController()
    const answer = fetch(`http://127.0.0.1:${server.port}/`, { signal: end.signal })
    answer.catch(() => undefined)
    await asked.promise
    end.abort()
    await gone.promise
  } finally {
    await server.stop()
  }
})

test("a body over the limit is refused", async () => {
  const server = serveFetch({ ...HERE, maxBodyBytes: 10 }, () => new Response("ok"))
  try {
    const status = async (length: number) => {
      const body = "x".repeat(length)
      const url = `http://127.0.0.1:${server.port}/`
      return (await fetch(url, { method: "POST", body })).status
    }
    expect([await status(10), await status(11)]).toEqual([200, 413])
  } finally {
    await server.stop()
  }
})

test("what a handler throws is told to the server, and not to the client", async () => {
  const errors: unknown[] = []
  const fault = new Error("secret")
  const onError = (error: unknown) => errors.push(error)
  const server = serveFetch({ ...HERE, onError }, () => {
    throw fault
  })
  try {
    const answer = await fetch(`http://127.0.0.1:${server.port}/`)
    expect([answer.status, await answer.text()]).toEqual([500, "Internal Server Error\n"])
    expect(errors).toEqual([fault])
  } finally {
    await server.stop()
  }
})

test("a request that waits for its answer is not idle", async () => {
  const server = serveFetch({ ...HERE, idleSeconds: 1 }, async (_, client) => {
    await new Promise((resolve) => {
      const timer = setTimeout(resolve, 6000)
      client.gone.addEventListener("abort", () => clearTimeout(timer))
    })
    return new Response("late")
  })
  try {
    const answer = await fetch(`http://127.0.0.1:${server.port}/`)
    expect(await answer.text()).toBe("late")
  } finally {
    await server.stop()
  }
}, 10_000)

test("draining answers who asked before, and takes nobody else", async () => {
  const asked = Promise.withResolvers<void>()
  const answer = Promise.withResolvers<Response>()
  const server = serveFetch(HERE, () => {
    asked.resolve()
    return answer.promise
  })
  const url = `http://127.0.0.1:${server.port}/`
  const early = fetch(url, { headers: { Connection: "close" } })
  await asked.promise
  const drained = server.drain()
  answer.resolve(new Response("yes"))
  expect(await (await early).text()).toBe("yes")
  await drained
  await expect(fetch(url)).rejects.toThrow()
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

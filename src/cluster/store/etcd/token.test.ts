import { expect, test } from "bun:test"
import { EtcdFailure } from "./failure.ts"
import { EtcdToken } from "./token.ts"

const user = { name: "lariat", password: "hunter2" }

test("without a user there is no token, and nobody is asked", async () => {
  const token = await new EtcdToken(undefined).get(() => {
    throw new Error("asked")
  })
  expect(token).toBeUndefined()
})

test("one login serves all, until the token is refused", async () => {
  const asked: object[] = []
  const login = async (_path: string, body: object) => {
    asked.push(body)
    return { token: `t${asked.length}` }
  }
  const token = new EtcdToken(user)
  expect(await Promise.all([token.get(login), token.get(login)])).toEqual(["t1", "t1"])
  expect(asked).toEqual([user])
  token.refused("t1")
  expect(await token.get(login)).toBe("t2")
  // An answer that comes late to a request with the old one.
  token.refused("t1")
  expect(await token.get(login)).toBe("t2")
  token.forget()
  expect(await token.get(login)).toBe("t3")
})

test("an etcd without authentication is used without a token", async () => {
  let asked = 0
  const off = async () => {
    asked++
    throw new EtcdFailure("etcdserver: authentication is not enabled", { code: 9 })
  }
  const token = new EtcdToken(user)
  expect(await token.get(off)).toBeUndefined()
  expect(await token.get(off)).toBeUndefined()
  expect(asked).toBe(1)
  // Switched on since.
  token.refused(undefined)
  expect(await token.get(async () => ({ token: "t" }))).toBe("t")
})

test("a wrong password is an error that does not show it; one that is away is passed on", async () => {
  const token = new EtcdToken(user)
  const refused = token.get(async () => {
    throw new EtcdFailure("etcdserver: authentication failed, invalid user ID or password", {
      code: 3,
    })
  })
  const error = await refused.catch((reason: Error) => reason)
  expect(error).toMatchObject({ code: "permission" })
  expect((error as Error).message).toContain("lariat")
  expect((error as Error).message).not.toContain("hunter2")
  const away = new EtcdFailure("no answer within 1000 ms")
  expect(await token.get(() => Promise.reject(away)).catch((reason: unknown) => reason)).toBe(away)
})

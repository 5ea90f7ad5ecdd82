import { expect, test } from "bun:test"
import { LariatError } from "../../errors.ts"
import { Health } from "../health.ts"
import { LegacyKeeper } from "./legacy_keeper.ts"

test("what was done is told, and what could not be done until it is; one does not hinder the other", async () => {
  const health = new Health()
  let failure: LariatError | undefined = new LariatError("no program", { code: "io", hint: "do" })
  const asked: string[][] = []
  const keeper = new LegacyKeeper(health, {
    iptables: {
      ensure: async () => {
        if (failure !== undefined) throw failure
        return []
      },
    },
    ip6tables: {
      ensure: async (subnets) => {
        asked.push([...subnets])
        return ["containers may pass"]
      },
    },
  })
  await keeper.sync(["10.9.0.0/24"])
  expect(health.problems()).toEqual([{ severity: "warning", what: "no program", hint: "do" }])
  expect(health.repairs().map(({ what }) => what)).toEqual(["containers may pass"])
  failure = undefined
  await keeper.sync([])
  expect(health.problems()).toEqual([])
  expect(asked).toEqual([["10.9.0.0/24"], []])
})

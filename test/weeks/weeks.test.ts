/**
 * Two weeks of edge hosts: containers come, go and vanish, addresses and MTUs change, files are
 * edited, agents are restarted, killed and robbed of their state, the store goes away. After every
 * handful of events all is let come to rest and compared with a model.
 *
 * The seed is another one each time, also under CI: what this finds nobody thought of. A failure names
 * it, and TEST_SEED=… makes the same choices again, as far as a killed agent got as far as before.
 * TEST_WEEKS_SECONDS=300 npm test -- --only '^weeks' is five minutes of it.
 */
import { test } from "bun:test"
import { Random } from "../netns/random.ts"
import { Deck, happen } from "./events.ts"
import { Model } from "./model.ts"

const SECONDS = Number(process.env.TEST_WEEKS_SECONDS ?? 75)
/** Until everything is up, and the last rest. */
const AROUND_MS = 180_000
/** Events between two rests, at most. */
const MOST_EVENTS = 8
/** Of each agent's log, told of a failure. */
const LAST_LINES = 100

test(
  `${SECONDS} seconds of changes, and after each handful everything is as it should be`,
  async () => {
    const seed = Number(process.env.TEST_SEED ?? Math.random() * 2 ** 32)
    const random = new Random(seed)
    console.log(`TEST_SEED=${random.seed}`)
    const told: string[] = []
    const model = await Model.start(random)
    try {
      await live(model, told)
      await model.end()
    } catch (error) {
      console.error(`TEST_SEED=${random.seed} repeats these events:\n${told.join("\n")}`)
      for (const { host } of model.hosts) {
        console.error(`--- ${host.name}\n${host.log.split("\n").slice(-LAST_LINES).join("\n")}`)
      }
      throw error
    } finally {
      await model.close()
    }
  },
  SECONDS * 1000 + AROUND_MS,
)

async function live(model: Model, told: string[]): Promise<void> {
  const { random } = model
  const deck = new Deck(random)
  const counts = new Map<string, number>()
  const until = performance.now() + SECONDS * 1000
  while (performance.now() < until) {
    for (let left = random.below(MOST_EVENTS) + 1; left > 0; left--) {
      const name = deck.draw()
      const begun = new Date().toISOString()
      const what = await happen(model, name).catch((cause: unknown) => {
        throw new Error(`at ${name}: ${cause}`, { cause })
      })
      if (what === undefined) continue
      told.push(`${begun} ${what}`)
      counts.set(name, (counts.get(name) ?? 0) + 1)
    }
    told.push(`${new Date().toISOString()} rest`)
    await model.rest()
    counts.set("rest", (counts.get("rest") ?? 0) + 1)
  }
  console.log([...counts].map(([name, count]) => `${name} ${count}`).join(", "))
}

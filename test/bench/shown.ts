/**
 * Asks the metadata until it shows a container, or does not any more, from a process of its own:
 * `shown.ts`. For each line of standard input, a {@link Expected} in JSON, it prints the time at
 * which that was so, milliseconds since 1970.
 */
import { createInterface } from "node:readline"

/** What is waited for. */
export interface Expected {
  /** The container that comes or goes last. */
  readonly name: string
  readonly isThere: boolean
  /** How many containers there must be then. */
  readonly containers: number
}

const CONTAINERS = "http://169.254.169.250/latest/containers"
const LOOK_MS = 10
const WITHIN_MS = 60_000

async function until(expected: Expected): Promise<number> {
  const started = performance.now()
  for (;;) {
    const at = performance.timeOrigin + performance.now()
    if (await holds(expected)) return at
    if (performance.now() - started > WITHIN_MS) {
      throw new Error(`not within ${WITHIN_MS} ms: ${JSON.stringify(expected)}`)
    }
    await new Promise((resolve) => setTimeout(resolve, LOOK_MS))
  }
}

/** The one that comes last is looked for first: the whole list costs the agent more. */
async function holds({ name, isThere, containers }: Expected): Promise<boolean> {
  const { ok } = await fetch(`${CONTAINERS}/${name}/name`)
  if (ok !== isThere) return false
  const all = await fetch(CONTAINERS, { headers: { accept: "application/json" } })
  return ((await all.json()) as readonly unknown[]).length === containers
}

for await (const line of createInterface({ input: process.stdin })) {
  console.log(`${await until(JSON.parse(line))}`)
}
process.exit(0)

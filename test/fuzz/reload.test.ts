/** Broken YAML under a running agent: SIGHUP reads it, and the agent goes on as it was. */
import { afterAll, beforeAll, expect, test } from "bun:test"
import { mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { formatDiagnostic, hasErrors } from "../../src/config/diagnostic.ts"
import { loadConfiguration } from "../../src/config/load.ts"
import { waitFor } from "../clients/program.ts"
import { Lab, SEED } from "../netns/lab.ts"
import { Random } from "../netns/random.ts"
import { brokenText } from "./mutate.ts"
import { expectUnharmed, holdingsOf, useWell } from "./survivor.ts"

const FILES = 2500
const RELOADS = 150
const TIMEOUT_MS = 120_000
/** One file is read in some milliseconds; what takes this long has no bound. */
const SLOW_MS = 5000

const NAMESPACE = "reload0"
const FIXTURES = join(import.meta.dirname, "../fixtures")
const SEEDS = [
  SEED,
  ...readdirSync(join(FIXTURES, "config")).map((name) => join(FIXTURES, "config", name)),
].map((path) => readFileSync(path, "utf8"))

let lab: Lab
let directory: string

beforeAll(async () => {
  directory = mkdtempSync(join(tmpdir(), "reload-"))
  writeFileSync(join(directory, "net.yml"), readFileSync(SEED))
  lab = await Lab.start({ configs: [join(directory, "net.yml")] })
  await lab.netns(NAMESPACE)
})

afterAll(async () => {
  await lab.close()
  rmSync(directory, { recursive: true })
})

test(
  `${FILES} broken files have diagnostics, and an end`,
  () => {
    const random = Random.fromEnvironment()
    for (let index = 0; index < FILES; index++) {
      const text = broken(random)
      const started = performance.now()
      try {
        const { networks, diagnostics } = loadConfiguration([{ path: "net.yml", text }], {
          env: {},
        })
        for (const diagnostic of diagnostics) expect(formatDiagnostic(diagnostic)).toContain(":")
        expect(networks.length > 0 || diagnostics.length > 0).toBe(true)
        expect(performance.now() - started).toBeLessThan(SLOW_MS)
      } catch (error) {
        console.error(`TEST_SEED=${random.seed}, file ${index}:\n${text}`)
        throw error
      }
    }
  },
  TIMEOUT_MS,
)

test(
  `${RELOADS} reloads of broken files leave a running agent as it was`,
  async () => {
    const random = Random.fromEnvironment()
    try {
      await useWell(lab, NAMESPACE)
      await reload(readFileSync(SEED, "utf8"))
      const before = holdingsOf(lab.pid)
      for (let index = 0; index < RELOADS; index++) {
        let text = broken(random)
        // A good file may well change everything; this is about bad ones.
        while (!isBad(text)) text = broken(random)
        await reload(text)
      }
      await reload(readFileSync(SEED, "utf8"))
      await expectUnharmed(lab, before, [NAMESPACE])
      const { networks } = await lab.status()
      expect(networks.map(({ name }) => name)).toEqual(["ipsec"])
    } catch (error) {
      console.error(`TEST_SEED=${random.seed} repeats this run`)
      throw error
    }
  },
  TIMEOUT_MS,
)

function isBad(text: string): boolean {
  return hasErrors(loadConfiguration([{ path: "net.yml", text }], { env: {} }).diagnostics)
}

/** Has the agent read this text, and waits until it has. */
async function reload(text: string): Promise<void> {
  writeFileSync(join(directory, "net.yml"), text)
  const { size } = Bun.file(join(lab.directory, "log"))
  process.kill(lab.pid, "SIGHUP")
  if (isBad(text)) {
    await waitFor("the agent to refuse the file", () =>
      lab.log.slice(size).includes("the files have errors") ? true : undefined,
    )
  }
  await lab.status()
}

function broken(random: Random): string {
  let text = random.pick(SEEDS)
  for (let change = random.below(3) + 1; change > 0; change--) {
    if (random.chance(0.5)) text = brokenText(random, text)
    else {
      const lines = text.split("\n")
      const at = random.below(lines.length)
      const line = random.pick(lines)
      lines.splice(at, random.below(3), random.chance(0.5) ? line : brokenText(random, line))
      text = lines.join("\n")
    }
  }
  return text
}

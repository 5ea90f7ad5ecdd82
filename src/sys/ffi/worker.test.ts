import { afterAll, expect, test } from "bun:test"
import { cpSync, mkdirSync, mkdtempSync, rmSync, writeFileSync } from "node:fs"
import { tmpdir } from "node:os"
import { pathToFileURL } from "node:url"
import { startWorker } from "./worker.ts"

const directory = mkdtempSync(`${tmpdir()}/sys-worker-`)
afterAll(() => rmSync(directory, { recursive: true }))

/** Doubles numbers; calls libc, as workers here do; throws at 0. */
const WORKER = `
import { libc } from "../sys/ffi/libc.ts"
import { serveWorker } from "../sys/ffi/worker.ts"
const scope = serveWorker((n) => {
  if (n === 0) throw new Error("no zero")
  scope.post(n * 2 + (libc.gettid() === libc.getpid() ? 1000 : 0))
})
scope.post("ready")
`
const MAIN = `
import { startDoubling } from "./some/doubling.ts"
startDoubling()
`
const STARTER = `
import { startWorker } from "../sys/ffi/worker.ts"
export function startDoubling() {
  const worker = startWorker(new URL("./doubling_worker.ts", import.meta.url), {
    onMessage(message) {
      console.log(message)
      if (message === "ready") worker.post(21)
      else worker.terminate()
    },
    onError: (error) => console.log(error.message),
  })
}
`
mkdirSync(`${directory}/src/some`, { recursive: true })
cpSync(`${import.meta.dir}/..`, `${directory}/src/sys`, { recursive: true })
cpSync(`${import.meta.dir}/../../errors.ts`, `${directory}/src/errors.ts`)
writeFileSync(`${directory}/src/main.ts`, MAIN)
writeFileSync(`${directory}/src/some/doubling.ts`, STARTER)
writeFileSync(`${directory}/src/some/doubling_worker.ts`, WORKER)
const url = pathToFileURL(`${directory}/src/some/doubling_worker.ts`)

test("messages go both ways, on another thread, and an uncaught error is heard", async () => {
  const heard: unknown[] = []
  const error = await new Promise((resolve) => {
    const worker = startWorker<number, number | string>(url, {
      onMessage(message) {
        heard.push(message)
        worker.post(message === "ready" ? 21 : 0)
      },
      onError: (failure) => resolve(failure.message),
    })
  })
  expect(heard).toEqual(["ready", 42])
  expect(error).toContain("Cannot go on with the worker doubling_worker.ts")
  expect(error).toContain("no zero")
})

test("a compiled program finds its worker, when the build embeds entry points flat", async () => {
  const built = await Bun.build({
    entrypoints: [`${directory}/src/main.ts`, `${directory}/src/some/doubling_worker.ts`],
    naming: { entry: "[name].[ext]" },
    splitting: true,
    compile: { outfile: `${directory}/program` },
  })
  expect(built.success).toBe(true)
  rmSync(`${directory}/src`, { recursive: true })
  const child = Bun.spawnSync([`${directory}/program`], { cwd: "/", timeout: 10_000 })
  expect(child.stdout.toString()).toBe("ready\n42\n")
})

/** Servers of the metadata API over objects that are made up, and the load that asks them. */
import { type ChildProcess, spawn } from "node:child_process"
import { writeFileSync } from "node:fs"
import { join } from "node:path"
import type { Bench } from "./bench.ts"
import type { Load, LoadResult } from "./http_load.ts"

const START_MS = 10_000

/** A host and so many containers of one service. @param labels of the host */
export function objects(count: number, labels: Readonly<Record<string, number>>): object[] {
  const containers = Array.from({ length: count }, (_, index) => ({
    metadata_kind: "container",
    uuid: `c${index}`,
    name: `web-${index}`,
    state: "running",
    primary_ip: `10.42.${index >> 8}.${index & 255}`,
    ips: [`10.42.${index >> 8}.${index & 255}`],
    labels: { "io.rancher.stack.name": "bench", "io.rancher.stack_service.name": "bench/web" },
    host_uuid: "h1",
    external_id: `${index}`.padStart(64, "0"),
  }))
  const host = {
    metadata_kind: "host",
    uuid: "h1",
    name: "host1",
    labels: Object.fromEntries(Object.entries(labels).map(([name, value]) => [name, `${value}`])),
  }
  return [host, ...containers]
}

export function writeObjects(
  file: string,
  count: number,
  labels: Readonly<Record<string, number>>,
): void {
  writeFileSync(file, JSON.stringify(objects(count, labels)))
}

export function objectsFile({ directory }: Bench, count: number): string {
  const file = join(directory, `objects-${count}.json`)
  writeObjects(file, count, {})
  return file
}

export function serve({ command }: Bench, file: string, port: number): string[] {
  return [...command, "metadata", "serve", "--objects", file, "--listen", `127.0.0.1:${port}`]
}

export function startServer([program = "", ...args]: readonly string[]): ChildProcess {
  return spawn(program, args, { stdio: ["ignore", "ignore", "inherit"] })
}

/** Waits until a server answers. @throws Error when it does not in time */
export async function answers(port: number): Promise<void> {
  const deadline = Date.now() + START_MS
  for (;;) {
    const response = await fetch(`http://127.0.0.1:${port}/`).catch(() => undefined)
    if (response?.ok === true) return
    if (Date.now() > deadline) throw new Error(`nothing answers on port ${port}`)
    await pause(20)
  }
}

export async function load(what: Load): Promise<LoadResult> {
  const script = join(import.meta.dirname, "http_load.ts")
  const child = spawn(process.execPath, [script, JSON.stringify(what)], {
    stdio: ["ignore", "pipe", "inherit"],
  })
  return JSON.parse(await linesOf(child)())
}

/** Gives one line after the other of what a program says. @throws Error when there is none left */
export function linesOf(child: ChildProcess): () => Promise<string> {
  const lines: string[] = []
  let rest = ""
  let wake = (): void => undefined
  let ended = false
  child.stdout?.setEncoding("utf8").on("data", (piece: string) => {
    const parts = (rest + piece).split("\n")
    rest = parts.pop() ?? ""
    lines.push(...parts)
    wake()
  })
  child.on("close", () => {
    ended = true
    wake()
  })
  return async () => {
    for (;;) {
      const line = lines.shift()
      if (line !== undefined) return line
      if (ended) throw new Error("a program of the benchmark ended early")
      await new Promise<void>((resolve) => {
        wake = resolve
      })
    }
  }
}

export function pause(ms: number): Promise<void> {
  return new Promise((resolve) => setTimeout(resolve, ms))
}

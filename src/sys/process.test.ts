import { expect, test } from "bun:test"
import { isCompiled, programName, runProgram, selfCommand } from "./process.ts"

test("the program's name is the last part of what it was called by", () => {
  expect(isCompiled).toBe(false)
  const code = `import {programName} from ${JSON.stringify(`${import.meta.dir}/process.ts`)}; console.log(programName())`
  for (const name of ["rancher-bridge", "/opt/cni/bin/lariat-cni"]) {
    const child = Bun.spawnSync([process.execPath, "-e", code], { argv0: name })
    expect(child.stdout.toString().trim()).toBe(name.slice(name.lastIndexOf("/") + 1))
  }
  expect(programName()).not.toContain("/")
})

test("the program's own command line starts main.ts", () => {
  const [runtime, main] = selfCommand()
  expect(runtime).toBe(process.execPath)
  expect(main).toEndWith("/src/main.ts")
})

test("a program that is run to its end has no shell, no environment of ours, and its time", async () => {
  expect(await runProgram("/usr/bin/env", [], 10_000)).toBe("LC_ALL=C\n")
  expect(await runProgram("/bin/echo", ["$(id); *"], 10_000)).toBe("$(id); *\n")
  await expect(runProgram("/bin/sleep", ["60"], 50)).rejects.toThrow("more than 50 ms")
  await expect(runProgram("/bin/cat", ["/nowhere"], 10_000)).rejects.toThrow("No such file")
  await expect(runProgram("/nowhere", [], 10_000)).rejects.toThrow("Cannot run /nowhere")
})

/** The address map beside its TypeScript twin. */
import { coreBench, type Measured } from "./core.bench.ts"
import type { Figure } from "./figure.ts"
import { summarize } from "./statistics.ts"

/** An address's life, free and allocate, must cost no more than this, nanoseconds. */
const PAIR_NS = 10

const WASM = ": wasm"
const TWIN = ": typescript"

/** Every scenario of {@link coreBench}; the pairs on a /16 have both bars. */
export async function ipam(): Promise<Figure[]> {
  const measured = await coreBench()
  const names = measured.filter(({ name }) => name.endsWith(WASM)).map(({ name }) => name)
  return names.flatMap((name) => {
    const base = name.slice(0, -WASM.length)
    const figure: Figure = {
      name: base,
      unit: "ns",
      ours: summarize([nsOf(measured, name)]),
      other: { name: "TypeScript", summary: summarize([nsOf(measured, base + TWIN)]) },
      bar: { of: "ratio", limit: 1 },
    }
    if (!base.includes("pair on a /16")) return [{ ...figure, bar: undefined }]
    return [figure, { ...figure, other: undefined, bar: { of: "value", limit: PAIR_NS } }]
  })
}

function nsOf(measured: readonly Measured[], name: string): number {
  const found = measured.find((one) => one.name === name)
  if (found === undefined) throw new Error(`core.bench.ts measured no ${name}`)
  return found.nsPerOp
}

/** `cni_config`: the CNI configurations that a network driver brings, file by file. */

import type { Problem, Step } from "./diagnostic.ts"
import { resolveHostLabels } from "./host_label.ts"
import { BRIDGE_TYPES, type Netconf } from "./netconf/netconf.ts"
import { parseNetconf } from "./netconf/parse.ts"
import type { CniFile, Network } from "./network.ts"
import { isMap } from "./value_schema.ts"

/** A file of `cni_config`, and what was understood of it; undefined when it has an error. */
export interface CniConfigFile extends CniFile {
  readonly netconf: Netconf | undefined
}

/**
 * Reads `cni_config` in the order in which the files are run.
 *
 * @param config the value of the key; an entry that is no map is left out: the schema reports it
 * @param tell is told of every problem, with the path below `cni_config`
 */
export function readCniConfig(
  config: Readonly<Record<string, unknown>>,
  hostLabels: Readonly<Record<string, string>>,
  tell: (problem: Problem) => void,
): CniConfigFile[] {
  const files: CniConfigFile[] = []
  for (const file of Object.keys(config).sort()) {
    const raw = config[file]
    if (!isMap(raw)) continue
    const under = (problem: Problem) => {
      tell({ ...problem, path: [file, ...problem.path] })
    }
    if (!isFileName(file)) {
      const message = `cni_config ${JSON.stringify(file)} is no file name`
      under({ severity: "error", path: [], message, hint: "write it as 10-name.conf", atKey: true })
    }
    const conf = resolveHostLabels(raw, hostLabels, (label, path) => {
      // A file may be checked on a host that is not the one it is for, and has no labels at all.
      if (Object.keys(hostLabels).length > 0) under(missingLabel(label, path))
    })
    const parsed = Object.hasOwn(conf, "plugins") ? refuseList() : parseNetconf(conf)
    for (const problem of parsed.problems) under(problem)
    files.push({ file, conf, netconf: parsed.conf })
  }
  for (const problem of sameNames(files)) tell(problem)
  return files
}

/** The names by which a CNI configuration means a network: its own, and those of its files. */
export function cniNames({ name, cni }: Pick<Network, "name" | "cni">): ReadonlySet<string> {
  const names = cni.flatMap(({ conf }) => (typeof conf.name === "string" ? conf.name : []))
  return new Set([name, ...names])
}

/** Becomes a file in `/etc/cni/<network>.d/`, so it must not lead elsewhere. */
function isFileName(name: string): boolean {
  return /^[^/\p{Cc}]{1,255}$/u.test(name) && name !== "." && name !== ".."
}

function missingLabel(label: string, path: readonly Step[]): Problem {
  const message = `this host has no label ${JSON.stringify(label)}, an empty text stands for it`
  return { severity: "warning", path, message, hint: "set it in hostLabels of agent.yml" }
}

function refuseList(): { conf: undefined; problems: Problem[] } {
  const message = "a file of cni_config is one configuration, this is a list with plugins"
  const hint = "write each plugin as a file of its own"
  return { conf: undefined, problems: [{ severity: "error", path: ["plugins"], message, hint }] }
}

/** Two files of one driver that attach: both are run for each container. */
function sameNames(files: readonly CniConfigFile[]): Problem[] {
  const first = new Map<string, string>()
  const problems: Problem[] = []
  for (const { file, netconf } of files) {
    if (netconf === undefined || !BRIDGE_TYPES.includes(netconf.type)) continue
    const before = first.get(netconf.name)
    if (before === undefined) {
      first.set(netconf.name, file)
      continue
    }
    const message = `${file} has the same name as ${before}, ${netconf.name}`
    problems.push({ severity: "warning", path: [file, "name"], message })
  }
  return problems
}

/** What happens to an edge host, and how often. */
import type { Random } from "../netns/random.ts"
import { edited, editedForAll } from "./host_file.ts"
import type { Model } from "./model.ts"
import type { ModelHost } from "./model_host.ts"

const UNDERLAY_MTUS = [1500, 1450, 1400]
/** How long it is at most until a busy agent is killed. */
const BUSY_MS = 150

/** One event. @returns what happened; undefined where it cannot happen now */
type Event = (model: Model, host: ModelHost) => Promise<string | undefined>

/** How often each comes in so many events as there are in all. */
const WEIGHTS: readonly (readonly [name: string, weight: number, event: Event])[] = [
  ["attach", 6, attach],
  ["detach", 4, detach],
  ["vanish", 3, vanish],
  ["burst", 3, burst],
  ["address", 3, otherAddress],
  ["no address", 1, noAddress],
  ["no route", 1, noRoute],
  ["route", 1, routeBack],
  ["underlay MTU", 2, underlayMtu],
  ["edit", 5, edit],
  ["edit of all", 2, editOfAll],
  ["broken file", 2, brokenFile],
  ["name", 1, otherName],
  ["restart", 2, restart],
  ["stop", 1, stop],
  ["kill", 3, kill],
  ["start", 2, start],
  ["lost state", 2, lostState],
  ["made anew", 3, madeAnew],
  ["store away", 2, storeAway],
  ["store back", 2, storeBack],
]

/** Names of events in a random order, in which each has its weight. */
export class Deck {
  readonly #random: Random
  #cards: string[] = []

  constructor(random: Random) {
    this.#random = random
  }

  draw(): string {
    if (this.#cards.length === 0) {
      this.#cards = WEIGHTS.flatMap(([name, weight]) => Array.from({ length: weight }, () => name))
    }
    const [card = ""] = this.#cards.splice(this.#random.below(this.#cards.length), 1)
    return card
  }
}

/** Has an event happen to some host. @returns what happened; undefined where it cannot happen now */
export async function happen(model: Model, name: string): Promise<string | undefined> {
  const [, , event] = WEIGHTS.find(([one]) => one === name) ?? []
  if (event === undefined) throw new Error(`there is no event ${name}`)
  const host = model.random.pick(model.hosts)
  const done = await event(model, host)
  return done && `${name} (${host.host.name}) ${done}`
}

async function attach(model: Model, host: ModelHost): Promise<string | undefined> {
  const absent = host.containers.filter(({ belief }) => belief === "absent")
  if (absent.length === 0 || !host.host.running) return undefined
  await model.attach(host, model.random.pick(absent))
  return "done"
}

/** Also of a container whose namespace is gone, and of one that nobody knows whether it is there. */
async function detach(model: Model, host: ModelHost): Promise<string | undefined> {
  const there = host.passing.filter(({ belief }) => belief !== "absent")
  if (there.length === 0 || !host.host.running) return undefined
  await model.detach(model.random.pick(there))
  return "done"
}

async function vanish({ random }: Model, host: ModelHost): Promise<string | undefined> {
  const there = host.passing.filter(({ belief }) => belief === "present")
  if (there.length === 0) return undefined
  random.pick(there).vanish()
  return "done"
}

/** All that pass come and go at once. */
async function burst(model: Model, host: ModelHost): Promise<string | undefined> {
  if (!host.host.running) return undefined
  await Promise.all(
    host.passing.map((container) =>
      container.belief === "absent" ? model.attach(host, container) : model.detach(container),
    ),
  )
  return "done"
}

async function otherAddress(
  { random, freeAddresses }: Model,
  host: ModelHost,
): Promise<string | undefined> {
  const address = random.pick(freeAddresses)
  await host.setAddress(address)
  return address
}

async function noAddress(_: Model, host: ModelHost): Promise<string | undefined> {
  await host.setAddress(undefined)
  return "done"
}

async function noRoute(_: Model, host: ModelHost): Promise<string | undefined> {
  if (host.address === undefined || !host.hasRoute) return undefined
  await host.setRoute(false)
  return "done"
}

async function routeBack(_: Model, host: ModelHost): Promise<string | undefined> {
  if (host.address === undefined || host.hasRoute) return undefined
  await host.setRoute(true)
  return "done"
}

async function underlayMtu(model: Model): Promise<string | undefined> {
  const mtu = model.random.pick(UNDERLAY_MTUS)
  await model.setUnderlayMtu(mtu)
  return String(mtu)
}

async function edit({ random }: Model, host: ModelHost): Promise<string | undefined> {
  const change = edited(random, host.file)
  await host.edit(change)
  return JSON.stringify(change)
}

async function editOfAll(
  { random, hosts }: Model,
  { file }: ModelHost,
): Promise<string | undefined> {
  const change = editedForAll(random, file)
  for (const host of hosts) await host.edit(change)
  return JSON.stringify(change)
}

async function brokenFile(_: Model, host: ModelHost): Promise<string | undefined> {
  if (!host.host.running) return undefined
  await host.breakFile()
  return "done"
}

async function otherName({ random }: Model, host: ModelHost): Promise<string | undefined> {
  host.name = `${host.host.name}-${random.below(1000)}`
  return "done"
}

async function restart(_: Model, host: ModelHost): Promise<string | undefined> {
  if (!host.host.running) return undefined
  await host.host.stopAgent()
  await host.start()
  return "done"
}

async function stop(_: Model, host: ModelHost): Promise<string | undefined> {
  if (!host.host.running) return undefined
  await host.host.stopAgent()
  return "done"
}

/** While containers come and go; it is started again at once, or later. */
async function kill(model: Model, host: ModelHost): Promise<string | undefined> {
  if (!host.host.running) return undefined
  const { random } = model
  const busy = burst(model, host)
  await new Promise((resolve) => setTimeout(resolve, random.next() * BUSY_MS))
  const isBack = random.chance(0.7)
  await host.host.killAgent()
  await busy
  if (isBack) await host.start()
  return "done"
}

async function start(_: Model, host: ModelHost): Promise<string | undefined> {
  if (host.host.running) return undefined
  await host.start()
  return "done"
}

async function lostState({ random }: Model, host: ModelHost): Promise<string | undefined> {
  const { host: lab } = host
  if (lab.running) await (random.chance(0.5) ? lab.killAgent() : lab.stopAgent())
  host.loseState()
  await host.start()
  return "done"
}

/** What `status` says is to be done with containers in a block that is not this host's. */
async function madeAnew(model: Model, host: ModelHost): Promise<string | undefined> {
  const stranded = host.present.filter(({ isStranded }) => isStranded)
  if (stranded.length === 0 || !host.host.running) return undefined
  for (const container of stranded) {
    if (host.lasting.includes(container)) host.isShaken = true
    await model.detach(container)
    await model.attach(host, container)
  }
  return "done"
}

async function storeAway(model: Model): Promise<string | undefined> {
  if (!model.storeIsUp) return undefined
  await model.killStore()
  return "done"
}

async function storeBack(model: Model): Promise<string | undefined> {
  if (model.storeIsUp) return undefined
  await model.startStore()
  return "done"
}

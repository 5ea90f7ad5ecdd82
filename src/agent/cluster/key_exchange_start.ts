/** What is begun: a `KeyExchange`. */
interface Stoppable {
  stop(): void
}

/** What {@link KeyExchangeStart} works with. */
export interface KeyExchangeStartOptions<T> {
  /** By this host's number in the cluster; undefined while no open driver needs keys. */
  readonly begin: (number: number) => T | undefined
  /** The exchange was not there when the store's keys were told: they are told again. */
  readonly retell: () => void
}

/** Begins the key exchange when both are there: this host's number, and a driver that needs keys. */
export class KeyExchangeStart<T extends Stoppable> {
  readonly #options: KeyExchangeStartOptions<T>
  #number: number | undefined
  #listening = false
  #exchange: T | undefined
  #stopped = false

  constructor(options: KeyExchangeStartOptions<T>) {
    this.#options = options
  }

  /** Undefined until it began. */
  get exchange(): T | undefined {
    return this.#exchange
  }

  /** This host has its number. */
  numbered(number: number): void {
    this.#number = number
    this.opened()
  }

  /** What the store says is told from now on. */
  listening(): void {
    this.#listening = true
  }

  /** A driver was opened; before it is told of its peers. */
  opened(): void {
    if (this.#number === undefined || this.#exchange !== undefined || this.#stopped) return
    this.#exchange = this.#options.begin(this.#number)
    if (this.#exchange !== undefined && this.#listening) this.#options.retell()
  }

  /** Ends; the kernel keeps its keys. */
  stop(): void {
    this.#stopped = true
    this.#exchange?.stop()
  }
}

/** The token of a user of etcd: fetched once for all requests, and again when it is refused. */

import { LariatError } from "../../../errors.ts"
import type { EtcdFailure } from "./failure.ts"
import { tokenAnswer } from "./messages.ts"

/** Who logs in. The password appears nowhere else. */
export interface EtcdUser {
  readonly name: string
  readonly password: string
}

/** Asks the member that the token is then shown to. */
export type Login = (path: string, body: object) => Promise<unknown>

export class EtcdToken {
  readonly #user: EtcdUser | undefined
  #token: string | undefined
  #authOff = false
  #pending: Promise<string> | undefined

  constructor(user: EtcdUser | undefined) {
    this.#user = user
  }

  /**
   * The token; undefined without a user, and where etcd has authentication switched off.
   *
   * @throws EtcdFailure; LariatError permission where etcd does not take user and password
   */
  async get(login: Login): Promise<string | undefined> {
    if (this.#user === undefined || this.#authOff) return undefined
    if (this.#token !== undefined) return this.#token
    this.#pending ??= this.#fetch(this.#user, login).finally(() => {
      this.#pending = undefined
    })
    return (await this.#pending) || undefined
  }

  /** Forgets a token that was refused, unless it has been replaced meanwhile. */
  refused(token: string | undefined): void {
    if (this.#token !== token) return
    this.forget()
  }

  /** The next request logs in again. */
  forget(): void {
    this.#token = undefined
    this.#authOff = false
  }

  async #fetch(user: EtcdUser, login: Login): Promise<string> {
    let answer: unknown
    try {
      answer = await login("/v3/auth/authenticate", { name: user.name, password: user.password })
    } catch (error) {
      const failure = error as EtcdFailure
      if (failure.authOff) {
        this.#authOff = true
        return ""
      }
      if (!failure.final) throw failure
      throw new LariatError(`Cannot log in to etcd as ${user.name}: ${failure.message}`, {
        code: "permission",
        hint: "check storeUser and the password in storePasswordFile",
        cause: failure,
      })
    }
    this.#token = tokenAnswer(answer)
    return this.#token
  }
}

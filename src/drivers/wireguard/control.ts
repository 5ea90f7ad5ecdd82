/** A WireGuard device's keys, port and peers, as this host's driver sets and reads them. */

import { LariatError } from "../../errors.ts"
import { NetlinkError } from "../../netlink/error.ts"
import { familyId } from "../../netlink/genetlink.ts"
import type { MessageWriter } from "../../netlink/message.ts"
import type { NetlinkSocket } from "../../netlink/socket.ts"
import { sameKey } from "../../netlink/wireguard/codec.ts"
import { WG_GENL_NAME, WG_KEY_LEN } from "../../netlink/wireguard/constants.ts"
import {
  getWireguard,
  setWireguard,
  type WireguardChange,
  type WireguardDevice,
} from "../../netlink/wireguard/wireguard.ts"

/** asm-generic/errno.h: another socket has the port. */
const EADDRINUSE = 98

/** This host's pair of keys. */
export interface KeyPair {
  /** 32 bytes, secret. */
  readonly privateKey: Uint8Array
  /** base64. */
  readonly publicKey: string
}

export class WireguardControl {
  readonly #socket: NetlinkSocket
  readonly #name: string
  readonly #port: number
  readonly #random: (bytes: number) => Uint8Array
  #family: number | undefined

  /**
   * @param socket of NETLINK_GENERIC
   * @param name of the device, for errors
   * @param random source of secret random bytes
   */
  constructor(
    socket: NetlinkSocket,
    name: string,
    port: number,
    random: (bytes: number) => Uint8Array,
  ) {
    this.#socket = socket
    this.#name = name
    this.#port = port
    this.#random = random
  }

  /** The device as it is. @throws LariatError kernel-unsupported; NetlinkError */
  read(index: number): WireguardDevice {
    return getWireguard(this.#socket, this.#familyId(), index)
  }

  /** What asks for a change. @throws LariatError kernel-unsupported; NetlinkError */
  message(index: number, change: WireguardChange): MessageWriter {
    return setWireguard(this.#familyId(), index, change)
  }

  #change(index: number, change: WireguardChange): void {
    try {
      this.#socket.request(this.message(index, change))
    } catch (error) {
      if (!(error instanceof NetlinkError && error.errno === EADDRINUSE)) throw error
      throw new LariatError(`Cannot set up ${this.#name}: UDP port ${this.#port} is taken`, {
        code: "config-invalid",
        hint: "Give the network another `port`, the same on all hosts.",
        cause: error,
      })
    }
  }

  /**
   * Gives the device its port and its key: the one of this instance, else the one that the kernel
   * has, else a new one.
   *
   * @returns the keys, and what was done
   * @throws LariatError kernel-unsupported, config-invalid for a port that is taken; NetlinkError
   */
  ensureKey(
    index: number,
    own: Uint8Array | undefined,
  ): { readonly keys: KeyPair; readonly did: readonly string[] } {
    const found = this.read(index)
    const wanted = own ?? found.privateKey ?? this.#random(WG_KEY_LEN)
    const newKey = found.privateKey === undefined || !sameKey(found.privateKey, wanted)
    const newPort = found.port !== this.#port
    if (newKey || newPort) {
      this.#change(index, {
        privateKey: newKey ? wanted : undefined,
        port: newPort ? this.#port : undefined,
      })
    }
    // The kernel clears and sets some bits of a key that it is given, and computes the public one.
    const { privateKey, publicKey } = newKey ? this.read(index) : found
    if (privateKey === undefined || publicKey === undefined) {
      throw new LariatError(`Cannot set up ${this.#name}: it takes no key`, { code: "kernel" })
    }
    const did = [
      ...(newKey ? [`set the key of ${this.#name}`] : []),
      ...(newPort ? [`set the port of ${this.#name} to ${this.#port}`] : []),
    ]
    return { keys: { privateKey, publicKey: publicKey.toBase64() }, did }
  }

  #familyId(): number {
    this.#family ??= familyId(this.#socket, WG_GENL_NAME)
    if (this.#family !== undefined) return this.#family
    throw new LariatError(`Cannot set up ${this.#name}: this kernel has no WireGuard`, {
      code: "kernel-unsupported",
      hint: "Load the kernel's module for WireGuard, or choose another driver.",
    })
  }
}

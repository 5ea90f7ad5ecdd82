/** How the fields of an expression stand in its attributes. */

import type { Attributes } from "../attribute.ts"
import type { MessageWriter } from "../message.ts"
import { readData, writeData } from "./message.ts"

/** What an attribute says is not known here: the expression is other people's, and no error. */
export const FOREIGN = Symbol("foreign")

/** One value in one attribute. */
export interface Codec<T> {
  write(writer: MessageWriter, type: number, value: T): void
  read(attributes: Attributes, type: number): T | typeof FOREIGN
}

export const U8: Codec<number> = {
  write: (writer, type, value) => writer.attrU8(type, value),
  read: (attributes, type) => attributes.u8(type) ?? FOREIGN,
}
export const U32: Codec<number> = {
  write: (writer, type, value) => writer.attrU32be(type, value),
  read: (attributes, type) => attributes.u32be(type) ?? FOREIGN,
}
export const U64: Codec<bigint> = {
  write: (writer, type, value) => writer.attrU64be(type, value),
  read: (attributes, type) => attributes.u64be(type) ?? FOREIGN,
}
/** A number of 64 bits that is never so large. */
export const COUNT: Codec<number> = {
  write: (writer, type, value) => writer.attrU64be(type, BigInt(value)),
  read: (attributes, type) => Number(attributes.u64be(type) ?? 0n),
}
export const TEXT: Codec<string> = {
  write: (writer, type, value) => writer.attrString(type, value),
  read: (attributes, type) => attributes.text(type) ?? FOREIGN,
}
/** The content of a register. */
export const DATA: Codec<Uint8Array> = {
  write: writeData,
  read: (attributes, type) => readData(attributes, type) ?? FOREIGN,
}

/** Left out where it is not given. */
export function optional<T>(codec: Codec<T>): Codec<T | undefined> {
  return {
    write(writer, type, value) {
      if (value !== undefined) codec.write(writer, type, value)
    },
    read: (attributes, type) => (attributes.has(type) ? codec.read(attributes, type) : undefined),
  }
}

/** Left out where it is the default. */
export function unless<T>(usual: T, codec: Codec<T>): Codec<T> {
  return {
    write(writer, type, value) {
      if (value !== usual) codec.write(writer, type, value)
    },
    read: (attributes, type) => (attributes.has(type) ? codec.read(attributes, type) : usual),
  }
}

/** A number that means the value at that place. */
export function oneOf<T>(values: readonly T[]): Codec<T> {
  return {
    write: (writer, type, value) => U32.write(writer, type, values.indexOf(value)),
    read(attributes, type) {
      const found = values.entries().find(([number]) => number === attributes.u32be(type))
      return found === undefined ? FOREIGN : found[1]
    },
  }
}

/** What stands in one attribute of an expression. */
export interface Part<E> {
  write(writer: MessageWriter, expression: E): void
  /** Adds what it says to the expression. False: it is not known here. */
  read(attributes: Attributes, into: Record<string, unknown>): boolean
}

/** A field of the expression. */
export function field<F extends string, T>(
  name: F,
  type: number,
  codec: Codec<T>,
): Part<Readonly<Partial<Record<F, T>>>> {
  return {
    write: (writer, expression) => codec.write(writer, type, expression[name] as T),
    read(attributes, into) {
      const value = codec.read(attributes, type)
      into[name] = value
      return value !== FOREIGN
    },
  }
}

/** What is always so, or follows from the fields before it. */
export function implied<E, T>(type: number, codec: Codec<T>, value: (expression: E) => T): Part<E> {
  return {
    write: (writer, expression) => codec.write(writer, type, value(expression)),
    read: (attributes, into) => codec.read(attributes, type) === value(into as E),
  }
}

/** A number that follows from the fields, before or after it: nothing is to be learned from it. */
export function repeated<E>(type: number, value: (expression: E) => number): Part<E> {
  return {
    write: (writer, expression) => U32.write(writer, type, value(expression)),
    read: () => true,
  }
}

/** A number that must not be there, or be zero. */
export function nothing(type: number, codec: Codec<number | bigint>): Part<unknown> {
  return {
    write: () => {},
    read: (attributes) => !attributes.has(type) || Number(codec.read(attributes, type)) === 0,
  }
}

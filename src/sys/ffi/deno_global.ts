/** The parts of the `Deno` global that `sys` uses, typed by hand: the project carries no types of it. */

/** A pointer as Deno's FFI passes it; null is the null pointer. */
export type DenoPointer = object | null

export interface DenoGlobal {
  dlopen(
    path: string,
    symbols: Readonly<Record<string, unknown>>,
  ): { readonly symbols: Readonly<Record<string, unknown>> }
  readonly UnsafePointer: {
    of(bytes: Uint8Array): DenoPointer
    value(pointer: DenoPointer): bigint
    create(address: bigint): DenoPointer
  }
  readonly UnsafePointerView: {
    getArrayBuffer(pointer: DenoPointer, length: number): ArrayBuffer
    new (pointer: DenoPointer): { getInt32(offset?: number): number }
  }
  createHttpClient(options: Readonly<Record<string, unknown>>): object
  serve(
    options: Readonly<Record<string, unknown>>,
    handler: (
      request: Request,
      info: { readonly remoteAddr: { readonly hostname: string; readonly port: number } },
    ) => Response | Promise<Response>,
  ): {
    readonly addr: { readonly port: number }
    readonly finished: Promise<void>
    shutdown(): Promise<void>
  }
}

/** Only to be called where `isDeno` holds. */
export function denoGlobal(): DenoGlobal {
  return (globalThis as unknown as { readonly Deno: DenoGlobal }).Deno
}

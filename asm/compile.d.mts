/** Types of compile.mjs, which is plain JavaScript so that Node can run it without a build. */

export declare const wasmModulePath: string
export declare function compileWasm(): Promise<{ bytes: Uint8Array<ArrayBuffer>; source: string }>

import type { Message } from "./message.ts"
export class Monitor { async start(_o:{groups:number[]}, _m:(m:readonly Message[])=>void, _f:()=>void){} async stop(){} }

/**
 * What a flood meets that goes elsewhere: `flood_sink.ts ADDRESS PORT` answers HTTP with a constant,
 * and hears datagrams without answering them.
 */
const [, , hostname = "", port = ""] = process.argv
Bun.serve({ hostname, port: Number(port), fetch: () => new Response("sink") })
await Bun.udpSocket({ hostname, port: Number(port), socket: { data: () => undefined } })

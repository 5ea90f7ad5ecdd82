/** What no answer of this runtime's own server can be quicker than: `bare_http.ts PORT BODY`. */
const [port, body = ""] = process.argv.slice(2)
Bun.serve({ hostname: "127.0.0.1", port: Number(port), fetch: () => new Response(body) })

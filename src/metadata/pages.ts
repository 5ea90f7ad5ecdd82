import { Hono } from "hono"
import { openApi } from "./openapi.ts"
import { PAGE, PAGE_POLICY } from "./page.ts"

const GET = ["GET", "HEAD"]
const SAFE = { "X-Content-Type-Options": "nosniff" }

/** What the API answers that is no part of the tree: the page for people, and its description. */
export function pages(): Hono {
  const app = new Hono()
  app.on(GET, "/page", (context) => {
    return context.body(PAGE, 200, {
      ...SAFE,
      "Content-Type": "text/html; charset=utf-8",
      "Content-Security-Policy": PAGE_POLICY,
      "Referrer-Policy": "no-referrer",
    })
  })
  app.on(GET, "/openapi.json", (context) => {
    return context.body(JSON.stringify(openApi()), 200, {
      ...SAFE,
      "Content-Type": "application/json",
    })
  })
  // What a router says that knows no such path or method; also for the icon that browsers ask for.
  app.notFound((context) => {
    return context.body("404 page not found\n", 404, {
      ...SAFE,
      "Content-Type": "text/plain; charset=utf-8",
    })
  })
  return app
}

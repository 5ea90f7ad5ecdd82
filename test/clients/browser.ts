/** A headless Chromium, driven over its DevTools protocol. */
import { type ChildProcess, spawn } from "node:child_process"
import { existsSync, mkdtempSync, readFileSync, rmSync } from "node:fs"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { waitFor } from "./program.ts"

/** An answer or an event of the browser. */
interface Message {
  readonly id?: number
  readonly method?: string
  readonly params?: Readonly<Record<string, unknown>>
  readonly result?: Readonly<Record<string, unknown>>
  readonly error?: { readonly message: string }
}

const ARGUMENTS = [
  "--headless=new",
  // It runs as root, in namespaces of its own.
  "--no-sandbox",
  "--disable-gpu",
  "--disable-dev-shm-usage",
  "--disable-background-networking",
  "--disable-component-update",
  "--no-first-run",
  "--remote-debugging-port=0",
]

/** A page of a browser that runs for as long as this is open. */
export class Browser {
  /** What the page complained of: console errors, uncaught exceptions, refusals of its policy. */
  readonly complaints: string[] = []
  readonly #child: ChildProcess
  readonly #profile: string
  readonly #socket: WebSocket
  readonly #calls = new Map<number, (message: Message) => void>()
  #last = 0

  private constructor(child: ChildProcess, profile: string, socket: WebSocket) {
    this.#child = child
    this.#profile = profile
    this.#socket = socket
    socket.addEventListener("message", ({ data }) => this.#heard(JSON.parse(String(data))))
  }

  /** Starts a browser with one empty page. */
  static async open(): Promise<Browser> {
    const profile = mkdtempSync(join(tmpdir(), "lariat-chromium-"))
    const env = { ...process.env, HOME: profile, XDG_RUNTIME_DIR: profile }
    const child = spawn("chromium", [...ARGUMENTS, `--user-data-dir=${profile}`, "about:blank"], {
      env,
      stdio: "ignore",
    })
    const portFile = join(profile, "DevToolsActivePort")
    const port = await waitFor(
      "chromium to be ready",
      () => {
        if (child.exitCode !== null) throw new Error(`chromium ended with ${child.exitCode}`)
        return existsSync(portFile) ? readFileSync(portFile, "utf8").split("\n")[0] : undefined
      },
      60_000,
    )
    const url = await waitFor("a page", async () => {
      const list = await fetch(`http://127.0.0.1:${port}/json/list`).then((one) => one.json())
      return (list as { type: string; webSocketDebuggerUrl: string }[]).find(
        ({ type }) => type === "page",
      )?.webSocketDebuggerUrl
    })
    const socket = new WebSocket(url)
    await new Promise((resolve, reject) => {
      socket.addEventListener("open", resolve)
      socket.addEventListener("error", reject)
    })
    const browser = new Browser(child, profile, socket)
    for (const domain of ["Page", "Runtime", "Log"]) await browser.#call(`${domain}.enable`)
    return browser
  }

  async go(url: string): Promise<void> {
    await this.#call("Page.navigate", { url })
  }

  /** Size in pixels, and whether people like it dark. */
  async look(width: number, height: number, scheme: "light" | "dark"): Promise<void> {
    const size = { width, height, deviceScaleFactor: 1, mobile: width < 600 }
    await this.#call("Emulation.setDeviceMetricsOverride", size)
    const features = [{ name: "prefers-color-scheme", value: scheme }]
    await this.#call("Emulation.setEmulatedMedia", { features })
  }

  /** What an expression is in the page. @throws Error when it throws */
  async evaluate<T>(expression: string): Promise<T> {
    const options = { expression, returnByValue: true, awaitPromise: true }
    const { result, exceptionDetails } = await this.#call("Runtime.evaluate", options)
    if (exceptionDetails !== undefined) throw new Error(JSON.stringify(exceptionDetails))
    return (result as { value: T }).value
  }

  /** Waits until the page shows a text. */
  async sees(text: string): Promise<void> {
    try {
      await waitFor(`${text} on the page`, async () =>
        (await this.text()).includes(text) ? true : undefined,
      )
    } catch (cause) {
      throw new Error(`the page shows: ${await this.text()}`, { cause })
    }
  }

  /** All that a person can read. */
  text(): Promise<string> {
    return this.evaluate<string>("document.body?.innerText ?? ''")
  }

  /**
   * Clicks with the mouse on the link that is called so.
   *
   * @param within selects the part of the page; default all of it
   */
  async click(name: string, within = "body"): Promise<void> {
    const place = await waitFor(`a link ${name}`, () =>
      this.evaluate<{ x: number; y: number } | undefined>(`(() => {
        const links = document.querySelectorAll(${JSON.stringify(`${within} a`)})
        const named = [...links].filter((a) => a.textContent === ${JSON.stringify(name)})
        const link = named.find((a) => a.getClientRects().length > 0)
        link?.scrollIntoView({ block: "center" })
        const box = link?.getClientRects()[0]
        return box && { x: box.x + box.width / 2, y: box.y + box.height / 2 }
      })()`),
    )
    for (const type of ["mousePressed", "mouseReleased"]) {
      await this.#call("Input.dispatchMouseEvent", {
        type,
        ...place,
        button: "left",
        clickCount: 1,
      })
    }
  }

  async back(): Promise<void> {
    await this.evaluate("history.back()")
  }

  /** A picture of what is to be seen, PNG. */
  async picture(): Promise<Uint8Array> {
    const { data } = await this.#call("Page.captureScreenshot", { format: "png" })
    return Buffer.from(String(data), "base64")
  }

  async close(): Promise<void> {
    const ended = new Promise((resolve) => this.#child.once("exit", resolve))
    await this.#call("Browser.close").catch(() => undefined)
    const timer = setTimeout(() => this.#child.kill("SIGKILL"), 5000)
    await ended
    clearTimeout(timer)
    rmSync(this.#profile, { recursive: true, force: true, maxRetries: 5, retryDelay: 100 })
  }

  async #call(
    method: string,
    params: Readonly<Record<string, unknown>> = {},
  ): Promise<Readonly<Record<string, unknown>>> {
    const id = ++this.#last
    const { result, error } = await new Promise<Message>((resolve) => {
      this.#calls.set(id, resolve)
      this.#socket.addEventListener("close", () => resolve({ error: { message: "it closed" } }))
      this.#socket.send(JSON.stringify({ id, method, params }))
    })
    if (error !== undefined) throw new Error(`${method}: ${error.message}`)
    return result ?? {}
  }

  #heard(message: Message): void {
    if (message.id !== undefined) {
      this.#calls.get(message.id)?.(message)
      this.#calls.delete(message.id)
    } else if (isComplaint(message)) this.complaints.push(JSON.stringify(message.params))
  }
}

function isComplaint({ method, params }: Message): boolean {
  if (method === "Runtime.exceptionThrown") return true
  if (method === "Runtime.consoleAPICalled") return params?.type === "error"
  return method === "Log.entryAdded" && (params?.entry as { level?: string })?.level === "error"
}

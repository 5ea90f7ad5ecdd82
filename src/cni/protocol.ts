/**
 * What plugin and commands say to the agent over its unix socket: one JSON object on one line,
 * answered by one JSON object on one line; then the agent closes the connection.
 */

/** The largest request the agent reads, bytes. */
export const MAX_REQUEST_BYTES = 1_048_576

/** The CNI_* variables of one call, as the plugin found them. */
export interface CniEnvironment {
  readonly command: string
  readonly containerId: string
  readonly netns: string
  readonly ifname: string
  readonly args: string
  readonly path: string
  readonly netnsOverride: boolean
}

/** A plugin's call. `role` is "ipam" when it runs as `rancher-cni-ipam` for another plugin. */
export interface CniRequest {
  readonly op: "cni"
  readonly role: "bridge" | "ipam"
  readonly env: CniEnvironment
  /** The parsed network configuration, untouched. */
  readonly config: Readonly<Record<string, unknown>>
  /** Result of a delegated IPAM plugin, in the configuration's CNI version. */
  readonly ipamResult?: Readonly<Record<string, unknown>> | undefined
}

/** The agent's answer to a {@link CniRequest}. */
export interface CniResponse {
  readonly exit: number
  /** Printed on standard output as it is; may be empty. */
  readonly stdout: string
  /** Printed on standard error, when not empty. */
  readonly stderr: string
}

/** The agent's answer to a command's call: `status`, `endpoints`, `version`, `reload`, … */
export type ControlResponse =
  | { readonly ok: true; readonly value: unknown }
  | { readonly ok: false; readonly code: string; readonly message: string; readonly hint?: string }

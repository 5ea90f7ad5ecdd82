/** The versions of the API, and what each shows differently. */

/** In the order in which they are listed. */
export const API_VERSIONS = ["2015-07-25", "2015-12-19", "2016-07-29", "latest"] as const

/** What is asked for in the first segment of a path. */
export type ApiVersion = (typeof API_VERSIONS)[number]

/** How a version shows the records. */
export interface VersionTraits {
  /** Lists of containers and services in another object hold names alone. */
  readonly namesOnly: boolean
  /** Names are as they were written; else in lower case. */
  readonly keepsCase: boolean
  /** Published ports without an address get that of their host; else 0.0.0.0. */
  readonly portsOfHost: boolean
  /** Hosts show their number. */
  readonly hostNumber: boolean
  /** Linked environments are listed. */
  readonly environments: boolean
}

const OLD: VersionTraits = {
  namesOnly: true,
  keepsCase: true,
  portsOfHost: true,
  hostNumber: true,
  environments: false,
}

const NEWEST: VersionTraits = {
  namesOnly: false,
  keepsCase: false,
  portsOfHost: false,
  hostNumber: false,
  environments: true,
}

export const TRAITS: Readonly<Record<ApiVersion, VersionTraits>> = {
  "2015-07-25": OLD,
  "2015-12-19": { ...OLD, namesOnly: false },
  "2016-07-29": NEWEST,
  latest: NEWEST,
}

/** Whether a text names a version. */
export function isApiVersion(text: string): text is ApiVersion {
  return Object.hasOwn(TRAITS, text)
}

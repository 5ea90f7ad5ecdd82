/** Link groups (IFLA_GROUP) that mark the host's ends of ports as Lariat's. */

/** Of ports that serve a container: "lr" and 1. */
export const LIVE_GROUP = 0x6c720001
/** Of ports that are to be deleted: "lr" and 2. */
export const PARKED_GROUP = 0x6c720002

/** Interfaces of kind `xfrm`: what is routed to one meets the policies of its number alone. */

import type { MessageWriter } from "../message.ts"
import { type NewLink, newLink } from "../route/link.ts"

/** IFLA_XFRM_LINK and IFLA_XFRM_IF_ID of linux/if_link.h. */
const IFLA_XFRM_LINK = 1
const IFLA_XFRM_IF_ID = 2

/** The message that makes one; EOPNOTSUPP where the kernel has none. `underlay` 0: any link. */
export function newXfrmLink(spec: NewLink, ifId: number, underlay = 0): MessageWriter {
  return newLink("xfrm", spec, (writer) => {
    if (underlay > 0) writer.attrU32(IFLA_XFRM_LINK, underlay)
    writer.attrU32(IFLA_XFRM_IF_ID, ifId)
  })
}

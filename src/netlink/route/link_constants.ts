/** Numbers of link messages: linux/if.h, linux/if_link.h, linux/veth.h (UAPI). */

// --- linux/if.h: flags of struct ifinfomsg
export const IFF_UP = 0x1
export const IFF_RUNNING = 0x40
export const IFF_PROMISC = 0x100

// --- linux/if_link.h: attributes of links
export const IFLA_ADDRESS = 1
export const IFLA_IFNAME = 3
export const IFLA_MTU = 4
export const IFLA_LINK = 5
export const IFLA_MASTER = 10
export const IFLA_PROTINFO = 12
export const IFLA_LINKINFO = 18
export const IFLA_IFALIAS = 20
export const IFLA_AF_SPEC = 26
export const IFLA_GROUP = 27
export const IFLA_NET_NS_FD = 28
export const IFLA_EXT_MASK = 29
export const IFLA_NUM_TX_QUEUES = 31
export const IFLA_NUM_RX_QUEUES = 32
export const IFLA_LINK_NETNSID = 37

/** Leave out the counters in answers (linux/rtnetlink.h): a quarter of the bytes. */
export const RTEXT_FILTER_SKIP_STATS = 1 << 3

// --- linux/if_link.h, linux/ip.h: within IFLA_AF_SPEC
export const IFLA_INET_CONF = 1
export const IPV4_DEVCONF_ARP_NOTIFY = 22
export const IFLA_INET6_ADDR_GEN_MODE = 8
export const IN6_ADDR_GEN_MODE_NONE = 1

// --- linux/if_link.h: within IFLA_LINKINFO
export const IFLA_INFO_KIND = 1
export const IFLA_INFO_DATA = 2
export const IFLA_INFO_SLAVE_KIND = 4
export const IFLA_INFO_SLAVE_DATA = 5

/** linux/veth.h: within IFLA_INFO_DATA of a veth, a struct ifinfomsg and link attributes. */
export const VETH_INFO_PEER = 1

// --- linux/if_link.h: IFLA_INFO_DATA of a bridge
export const IFLA_BR_FORWARD_DELAY = 1
export const IFLA_BR_VLAN_FILTERING = 7
export const IFLA_BR_MCAST_SNOOPING = 23

// --- linux/if_link.h: IFLA_PROTINFO and IFLA_INFO_SLAVE_DATA of a bridge port
export const IFLA_BRPORT_MODE = 4
export const IFLA_BRPORT_LEARNING = 8
export const IFLA_BRPORT_UNICAST_FLOOD = 9
export const IFLA_BRPORT_PROXYARP = 10
export const IFLA_BRPORT_NEIGH_SUPPRESS = 32
export const IFLA_BRPORT_ISOLATED = 33

// --- linux/if_link.h: IFLA_INFO_DATA of a vxlan
export const IFLA_VXLAN_ID = 1
export const IFLA_VXLAN_LOCAL = 4
export const IFLA_VXLAN_LEARNING = 7
export const IFLA_VXLAN_PORT = 15
export const IFLA_VXLAN_LOCAL6 = 17

/**
 * Numbers of the netlink and rtnetlink protocols. Each block names the kernel header (UAPI) that
 * defines it; all are stable kernel interface.
 */

// --- linux/socket.h, asm-generic/socket.h
export const AF_UNSPEC = 0
export const AF_INET = 2
export const AF_BRIDGE = 7
export const AF_INET6 = 10
export const AF_NETLINK = 16
export const SOCK_RAW = 3
export const SOCK_CLOEXEC = 0o2000000
export const SOL_SOCKET = 1
export const SO_SNDBUFFORCE = 32
export const SO_RCVBUFFORCE = 33
export const MSG_TRUNC = 0x20
export const MSG_DONTWAIT = 0x40
export const SOL_NETLINK = 270

// --- linux/netlink.h: protocols
export const NETLINK_ROUTE = 0
export const NETLINK_XFRM = 6
export const NETLINK_NETFILTER = 12
export const NETLINK_GENERIC = 16

// --- linux/netlink.h: socket options of SOL_NETLINK
export const NETLINK_ADD_MEMBERSHIP = 1
export const NETLINK_CAP_ACK = 10
export const NETLINK_EXT_ACK = 11
export const NETLINK_GET_STRICT_CHK = 12

// --- linux/netlink.h: struct nlmsghdr is 16 bytes, everything is aligned to 4
export const NLMSG_HDRLEN = 16
export const NLMSG_ALIGNTO = 4
export const NLMSG_ERROR = 2
export const NLMSG_DONE = 3

// --- linux/netlink.h: flags of every message
export const NLM_F_REQUEST = 0x001
export const NLM_F_ACK = 0x004
/** The dump is inconsistent: something changed while it ran. */
export const NLM_F_DUMP_INTR = 0x010
// flags of GET requests
const NLM_F_ROOT = 0x100
const NLM_F_MATCH = 0x200
export const NLM_F_DUMP = NLM_F_ROOT | NLM_F_MATCH
// flags of NEW requests
export const NLM_F_REPLACE = 0x100
export const NLM_F_EXCL = 0x200
export const NLM_F_CREATE = 0x400
export const NLM_F_APPEND = 0x800
// flags of acknowledgements
/** The acknowledgement carries only the header of the request. */
export const NLM_F_CAPPED = 0x100
/** Attributes (NLMSGERR_ATTR_*) follow the acknowledged message. */
export const NLM_F_ACK_TLVS = 0x200

// --- linux/netlink.h: struct nlattr is 4 bytes
export const NLA_HDRLEN = 4
export const NLA_F_NESTED = 0x8000
export const NLA_TYPE_MASK = 0x3fff

// --- linux/netlink.h: attributes of an extended acknowledgement
export const NLMSGERR_ATTR_MSG = 1

// --- linux/rtnetlink.h: message types
export const RTM_NEWLINK = 16
export const RTM_DELLINK = 17
export const RTM_GETLINK = 18
export const RTM_NEWADDR = 20
export const RTM_DELADDR = 21
export const RTM_GETADDR = 22
export const RTM_NEWROUTE = 24
export const RTM_DELROUTE = 25
export const RTM_GETROUTE = 26
export const RTM_NEWNEIGH = 28
export const RTM_DELNEIGH = 29
export const RTM_GETNEIGH = 30
export const RTM_GETNSID = 90

// --- linux/rtnetlink.h: multicast groups (numbers for NETLINK_ADD_MEMBERSHIP)
export const RTNLGRP_LINK = 1
export const RTNLGRP_IPV4_IFADDR = 5
export const RTNLGRP_IPV4_ROUTE = 7
export const RTNLGRP_IPV6_IFADDR = 9
export const RTNLGRP_IPV6_ROUTE = 11

// --- linux/rtnetlink.h: struct rtmsg
export const RT_TABLE_UNSPEC = 0
export const RT_TABLE_MAIN = 254
export const RTPROT_UNSPEC = 0
export const RTPROT_KERNEL = 2
export const RTPROT_BOOT = 3
export const RTPROT_STATIC = 4
/** Made by a router advertisement. */
export const RTPROT_RA = 9
export const RT_SCOPE_UNIVERSE = 0
export const RT_SCOPE_LINK = 253
export const RTN_UNSPEC = 0
export const RTN_UNICAST = 1
export const RTN_LOCAL = 2
export const RTN_UNREACHABLE = 7
export const RTNH_F_ONLINK = 4
export const RTM_F_CLONED = 0x200

// --- linux/rtnetlink.h: attributes of routes
export const RTA_DST = 1
export const RTA_OIF = 4
export const RTA_GATEWAY = 5
export const RTA_PRIORITY = 6
export const RTA_PREFSRC = 7
export const RTA_METRICS = 8
export const RTA_MULTIPATH = 9
export const RTA_TABLE = 15
export const RTA_VIA = 18
export const RTAX_MTU = 2
export const RTAX_ADVMSS = 8

// --- linux/if_addr.h
export const IFA_ADDRESS = 1
export const IFA_LOCAL = 2
export const IFA_LABEL = 3
export const IFA_FLAGS = 8
export const IFA_F_NODAD = 0x02
/** It has no lifetime. */
export const IFA_F_PERMANENT = 0x80
export const IFA_F_NOPREFIXROUTE = 0x200

// --- linux/neighbour.h
export const NDA_DST = 1
export const NDA_LLADDR = 2
export const NDA_MASTER = 9
export const NUD_NOARP = 0x40
export const NUD_PERMANENT = 0x80
export const NTF_USE = 0x01
export const NTF_SELF = 0x02

// --- linux/net_namespace.h
export const NETNSA_NSID = 1
export const NETNSA_FD = 3
/** The namespace has no number in ours (NETNSA_NSID_NOT_ASSIGNED, net/net_namespace.h). */
export const NETNSA_NSID_NOT_ASSIGNED = -1

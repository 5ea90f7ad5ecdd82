/**
 * Numbers of nf_tables over NETLINK_NETFILTER. Each block names the kernel header (UAPI) that
 * defines it. Numbers inside attributes are in network byte order unless said otherwise.
 */

// --- linux/netfilter/nfnetlink.h
export const NFNL_SUBSYS_NFTABLES = 10
export const NFNL_MSG_BATCH_BEGIN = 0x10
export const NFNL_MSG_BATCH_END = 0x11
export const NFNETLINK_V0 = 0
/** Attribute of NFNL_MSG_BATCH_BEGIN: refuse the batch unless this is the generation (U32). */
export const NFNL_BATCH_GENID = 1
/** struct nfgenmsg: family (1), version (1), resource id (2, network byte order). */
export const NFGENMSG_BYTES = 4

// --- linux/netfilter.h: families and hooks
export const NFPROTO_UNSPEC = 0
export const NFPROTO_INET = 1
export const NFPROTO_IPV4 = 2
export const NFPROTO_BRIDGE = 7
export const NFPROTO_IPV6 = 10
/** linux/netfilter_bridge.h numbers its first hook alike. */
export const NF_INET_PRE_ROUTING = 0
export const NF_INET_LOCAL_IN = 1
export const NF_INET_FORWARD = 2
export const NF_INET_LOCAL_OUT = 3
export const NF_INET_POST_ROUTING = 4
export const NF_DROP = 0
export const NF_ACCEPT = 1

// --- linux/netfilter/nf_tables.h: message types, low byte of nlmsg_type
export const NFT_MSG_NEWTABLE = 0
export const NFT_MSG_GETTABLE = 1
export const NFT_MSG_DELTABLE = 2
export const NFT_MSG_NEWCHAIN = 3
export const NFT_MSG_GETCHAIN = 4
export const NFT_MSG_NEWRULE = 6
export const NFT_MSG_GETRULE = 7
export const NFT_MSG_DELRULE = 8
export const NFT_MSG_NEWSET = 9
export const NFT_MSG_GETSET = 10
export const NFT_MSG_NEWSETELEM = 12
export const NFT_MSG_GETSETELEM = 13
export const NFT_MSG_DELSETELEM = 14
export const NFT_MSG_NEWGEN = 15
export const NFT_MSG_GETGEN = 16

// --- nf_tables.h: registers. 1 to 4 hold 16 bytes; from 8 on the same memory in 4-byte steps.
export const NFT_REG_VERDICT = 0
export const NFT_REG_1 = 1
export const NFT_REG_2 = 2
export const NFT_REG32_01 = 9
export const NFT_REG32_03 = 11
/** Bytes of one of the registers 1 to 4. */
export const NFT_REG_SIZE = 16

// --- nf_tables.h: verdicts, signed
export const NFT_CONTINUE = -1
export const NFT_JUMP = -3
export const NFT_GOTO = -4
export const NFT_RETURN = -5

/** Most bytes of user data of a table, chain, rule, set or element. */
export const NFT_USERDATA_MAXLEN = 256

// --- nf_tables.h: tables
export const NFTA_TABLE_NAME = 1
export const NFTA_TABLE_FLAGS = 2
export const NFTA_TABLE_USERDATA = 6
/** The table's chains see no packet. */
export const NFT_TABLE_F_DORMANT = 0x1

// --- nf_tables.h: chains
export const NFTA_CHAIN_TABLE = 1
export const NFTA_CHAIN_NAME = 3
export const NFTA_CHAIN_HOOK = 4
export const NFTA_CHAIN_POLICY = 5
export const NFTA_CHAIN_TYPE = 7
export const NFTA_CHAIN_USERDATA = 12
export const NFTA_HOOK_HOOKNUM = 1
export const NFTA_HOOK_PRIORITY = 2

// --- nf_tables.h: rules
export const NFTA_RULE_TABLE = 1
export const NFTA_RULE_CHAIN = 2
export const NFTA_RULE_HANDLE = 3
export const NFTA_RULE_EXPRESSIONS = 4
export const NFTA_RULE_USERDATA = 7

// --- nf_tables.h: sets
export const NFT_SET_INTERVAL = 0x4
export const NFT_SET_MAP = 0x8
/** Elements go after a time. */
export const NFT_SET_TIMEOUT = 0x10
/** Rules add elements, which may bear expressions. */
export const NFT_SET_EVAL = 0x20
export const NFT_SET_CONCAT = 0x80
export const NFTA_SET_TABLE = 1
export const NFTA_SET_NAME = 2
export const NFTA_SET_FLAGS = 3
export const NFTA_SET_KEY_TYPE = 4
export const NFTA_SET_KEY_LEN = 5
export const NFTA_SET_DATA_TYPE = 6
export const NFTA_SET_DATA_LEN = 7
export const NFTA_SET_DESC = 9
export const NFTA_SET_ID = 10
/** Milliseconds, U64. */
export const NFTA_SET_TIMEOUT = 11
export const NFTA_SET_USERDATA = 13
export const NFTA_SET_DESC_SIZE = 1
export const NFTA_SET_DESC_CONCAT = 2
export const NFTA_SET_FIELD_LEN = 1

// --- nf_tables.h: set elements
export const NFT_SET_ELEM_INTERVAL_END = 0x1
export const NFTA_SET_ELEM_KEY = 1
export const NFTA_SET_ELEM_DATA = 2
export const NFTA_SET_ELEM_FLAGS = 3
export const NFTA_SET_ELEM_USERDATA = 6
export const NFTA_SET_ELEM_KEY_END = 10
export const NFTA_SET_ELEM_LIST_TABLE = 1
export const NFTA_SET_ELEM_LIST_SET = 2
export const NFTA_SET_ELEM_LIST_ELEMENTS = 3
export const NFTA_SET_ELEM_LIST_SET_ID = 4

// --- nf_tables.h: lists, data, verdicts, expressions
export const NFTA_LIST_ELEM = 1
export const NFTA_DATA_VALUE = 1
export const NFTA_DATA_VERDICT = 2
export const NFTA_VERDICT_CODE = 1
export const NFTA_VERDICT_CHAIN = 2
export const NFTA_EXPR_NAME = 1
export const NFTA_EXPR_DATA = 2

// --- nf_tables.h: attributes of each expression
export const NFTA_IMMEDIATE_DREG = 1
export const NFTA_IMMEDIATE_DATA = 2
export const NFTA_BITWISE_SREG = 1
export const NFTA_BITWISE_DREG = 2
export const NFTA_BITWISE_LEN = 3
export const NFTA_BITWISE_MASK = 4
export const NFTA_BITWISE_XOR = 5
export const NFTA_BITWISE_OP = 6
export const NFT_BITWISE_MASK_XOR = 0
export const NFTA_CMP_SREG = 1
export const NFTA_CMP_OP = 2
export const NFTA_CMP_DATA = 3
/** In the order of enum nft_cmp_ops. */
export const CMP_OPS = ["eq", "neq", "lt", "lte", "gt", "gte"] as const
export const NFTA_RANGE_SREG = 1
export const NFTA_RANGE_OP = 2
export const NFTA_RANGE_FROM_DATA = 3
export const NFTA_RANGE_TO_DATA = 4
export const NFTA_LOOKUP_SET = 1
export const NFTA_LOOKUP_SREG = 2
export const NFTA_LOOKUP_DREG = 3
export const NFTA_LOOKUP_SET_ID = 4
export const NFTA_LOOKUP_FLAGS = 5
export const NFTA_PAYLOAD_DREG = 1
export const NFTA_PAYLOAD_BASE = 2
export const NFTA_PAYLOAD_OFFSET = 3
export const NFTA_PAYLOAD_LEN = 4
/** In the order of enum nft_payload_bases. */
export const PAYLOAD_BASES = ["link", "network", "transport"] as const
export const NFTA_META_DREG = 1
export const NFTA_META_KEY = 2
/** Index of the interface that the packet came by, U32 in host byte order. */
export const NFT_META_IIF = 4
export const NFT_META_IIFNAME = 6
export const NFT_META_OIFNAME = 7
export const NFT_META_NFPROTO = 15
export const NFT_META_L4PROTO = 16
/** Group of the link, U32 in host order. */
export const NFT_META_IIFGROUP = 21
export const NFTA_COUNTER_BYTES = 1
export const NFTA_COUNTER_PACKETS = 2
export const NFTA_MASQ_FLAGS = 1
export const NFTA_MASQ_REG_PROTO_MIN = 2
export const NFTA_FIB_DREG = 1
export const NFTA_FIB_RESULT = 2
export const NFTA_FIB_FLAGS = 3
export const NFT_FIB_RESULT_ADDRTYPE = 3
export const NFTA_FIB_F_DADDR = 0x2
export const NFTA_RT_DREG = 1
export const NFTA_RT_KEY = 2
/** The TCP MSS of the packet's route and of the way back, whichever is less; U16, host order. */
export const NFT_RT_TCPMSS = 3
export const NFTA_BYTEORDER_SREG = 1
export const NFTA_BYTEORDER_DREG = 2
export const NFTA_BYTEORDER_OP = 3
export const NFTA_BYTEORDER_LEN = 4
export const NFTA_BYTEORDER_SIZE = 5
export const NFT_BYTEORDER_HTON = 1
/** A U8, unlike all others of the expression. */
export const NFTA_EXTHDR_TYPE = 2
export const NFTA_EXTHDR_OFFSET = 3
export const NFTA_EXTHDR_LEN = 4
export const NFTA_EXTHDR_FLAGS = 5
export const NFTA_EXTHDR_OP = 6
export const NFTA_EXTHDR_SREG = 7
export const NFT_EXTHDR_OP_TCPOPT = 1
export const NFTA_LIMIT_RATE = 1
/** Seconds that the rate is for, U64. */
export const NFTA_LIMIT_UNIT = 2
export const NFTA_LIMIT_BURST = 3
export const NFTA_LIMIT_TYPE = 4
export const NFTA_LIMIT_FLAGS = 5
/** Matches what is over the limit. */
export const NFT_LIMIT_F_INV = 0x1
export const NFTA_CONNLIMIT_COUNT = 1
export const NFTA_CONNLIMIT_FLAGS = 2
/** Matches what is over the limit. */
export const NFT_CONNLIMIT_F_INV = 0x1
export const NFTA_DYNSET_SET_NAME = 1
export const NFTA_DYNSET_SET_ID = 2
export const NFTA_DYNSET_OP = 3
export const NFTA_DYNSET_SREG_KEY = 4
export const NFTA_DYNSET_SREG_DATA = 5
/** Milliseconds, U64. */
export const NFTA_DYNSET_TIMEOUT = 6
export const NFTA_DYNSET_EXPR = 7
export const NFTA_DYNSET_FLAGS = 9

// --- nf_tables.h: the generation
export const NFTA_GEN_ID = 1

// --- linux/netfilter/nf_nat.h: flags of masquerade
/** Ports come from the given range. */
export const NF_NAT_RANGE_PROTO_SPECIFIED = 0x02
/** The search for a free port starts at a random one. */
export const NF_NAT_RANGE_PROTO_RANDOM_FULLY = 0x10

// --- nftables' include/datatype.h: key types, which the kernel only keeps for `nft list`
/** A number; `nft` needs to be told of what expression. */
export const TYPE_INTEGER = 4
export const TYPE_IPADDR = 7
export const TYPE_IP6ADDR = 8
export const TYPE_ETHERADDR = 9
export const TYPE_IFINDEX = 20
export const TYPE_INET_PROTOCOL = 12
export const TYPE_INET_SERVICE = 13
export const TYPE_IFNAME = 41
/** Bits of one type in the type of a concatenation (TYPE_BITS). */
export const TYPE_BITS = 6

// --- libnftnl's include/libnftnl/udata.h: user data is a row of type (1), length (1), value
export const NFTNL_UDATA_TABLE_COMMENT = 0
export const NFTNL_UDATA_CHAIN_COMMENT = 0
export const NFTNL_UDATA_RULE_COMMENT = 0
/** Value: enum byteorder of nftables, U32 in host byte order. */
export const NFTNL_UDATA_SET_KEYBYTEORDER = 0
export const NFTNL_UDATA_SET_DATABYTEORDER = 1
/** Value: user data of an expression, which says what the key is. */
export const NFTNL_UDATA_SET_KEY_TYPEOF = 3
export const NFTNL_UDATA_SET_DATA_INTERVAL = 6
export const NFTNL_UDATA_SET_COMMENT = 7
/** Value: U32 in host byte order. */
export const NFTNL_UDATA_SET_ELEM_FLAGS = 1
/** The interval reaches the end of the key space, so it has no end element. */
export const NFTNL_SET_ELEM_F_INTERVAL_OPEN = 0x1
/** Of an expression: its kind (enum expr_types of nftables), and user data of that kind. */
export const NFTNL_UDATA_SET_TYPEOF_EXPR = 0
export const NFTNL_UDATA_SET_TYPEOF_DATA = 1
export const EXPR_PAYLOAD = 7
export const EXPR_CONCAT = 13
/** Of a payload, nftables' src/payload.c: header and field, else base, offset and length in bits. */
export const NFTNL_UDATA_SET_KEY_PAYLOAD_DESC = 0
export const NFTNL_UDATA_SET_KEY_PAYLOAD_TYPE = 1
export const NFTNL_UDATA_SET_KEY_PAYLOAD_BASE = 2
export const NFTNL_UDATA_SET_KEY_PAYLOAD_OFFSET = 3
export const NFTNL_UDATA_SET_KEY_PAYLOAD_LEN = 4
/** enum proto_desc_id of nftables, and places in the header's list of fields (src/proto.c). */
export const PROTO_DESC_UNKNOWN = 0
export const PROTO_DESC_UDP = 6
export const PROTO_DESC_IP = 12
export const PROTO_DESC_IP6 = 13
export const UDPHDR_DPORT = 2
export const IPHDR_SADDR = 11
export const IP6HDR_SADDR = 8
/** enum proto_bases of nftables. */
export const PROTO_BASE_TRANSPORT_HDR = 3

/** nftables' enum byteorder: none, as for concatenations; host; network. */
export const BYTEORDER_INVALID = 0
export const BYTEORDER_HOST_ENDIAN = 1
export const BYTEORDER_BIG_ENDIAN = 2

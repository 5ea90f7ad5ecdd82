/** Numbers of linux/xfrm.h. */

export const XFRM_MSG_NEWSA = 0x10
export const XFRM_MSG_DELSA = 0x11
export const XFRM_MSG_GETSA = 0x12
export const XFRM_MSG_NEWPOLICY = 0x13
export const XFRM_MSG_DELPOLICY = 0x14
export const XFRM_MSG_GETPOLICY = 0x15
export const XFRM_MSG_ACQUIRE = 0x17
export const XFRM_MSG_EXPIRE = 0x18
export const XFRM_MSG_UPDPOLICY = 0x19
export const XFRM_MSG_UPDSA = 0x1a
export const XFRM_MSG_FLUSHSA = 0x1c
export const XFRM_MSG_MAPPING = 0x26

export const XFRMNLGRP_EXPIRE = 2
export const XFRMNLGRP_SA = 3
export const XFRMNLGRP_MAPPING = 8

export const XFRMA_ALG_CRYPT = 2
export const XFRMA_ENCAP = 4
export const XFRMA_TMPL = 5
export const XFRMA_ALG_AEAD = 18
export const XFRMA_ALG_AUTH_TRUNC = 20
export const XFRMA_REPLAY_ESN_VAL = 23
export const XFRMA_IF_ID = 31

export const XFRM_MODE_TUNNEL = 1
export const XFRM_SHARE_ANY = 0
export const XFRM_POLICY_IN = 0
export const XFRM_POLICY_OUT = 1
export const XFRM_POLICY_FWD = 2
export const XFRM_POLICY_ALLOW = 0
export const XFRM_POLICY_BLOCK = 1

/** Both inner families in one association. */
export const XFRM_STATE_AF_UNSPEC = 32
export const XFRM_STATE_ESN = 128

/** A lifetime without end. */
export const XFRM_INF = 0xffff_ffff_ffff_ffffn

/** The largest replay window, packets (XFRMA_REPLAY_ESN_MAX in 32-bit words). */
export const MAX_REPLAY_WINDOW = 4096

/** UDP_ENCAP_ESPINUDP of linux/udp.h. */
export const UDP_ENCAP_ESPINUDP = 2

/** include/uapi/linux/in.h */
export const IPPROTO_ESP = 50

/** Bytes of the structures that stand in messages. */
export const XFRM_SELECTOR_BYTES = 56
export const XFRM_USERSA_INFO_BYTES = 224
export const XFRM_USERSA_ID_BYTES = 24
export const XFRM_USERPOLICY_INFO_BYTES = 168
export const XFRM_USER_TMPL_BYTES = 64
export const XFRM_ADDRESS_BYTES = 16

//! Numbers of `linux/netfilter/nf_tables.h` about tables, chains, rules, sets and objects.

use crate::nft::constants::SUBSYSTEM;

/// `NFT_MSG_NEWTABLE`.
pub(crate) const NEW_TABLE: u16 = SUBSYSTEM << 8;
/// `NFT_MSG_DELTABLE`.
pub(crate) const DELETE_TABLE: u16 = SUBSYSTEM << 8 | 2;
/// `NFT_MSG_NEWCHAIN`.
pub(crate) const NEW_CHAIN: u16 = SUBSYSTEM << 8 | 3;
/// `NFT_MSG_GETCHAIN`.
pub(crate) const GET_CHAIN: u16 = SUBSYSTEM << 8 | 4;
/// `NFT_MSG_NEWRULE`.
pub(crate) const NEW_RULE: u16 = SUBSYSTEM << 8 | 6;
/// `NFT_MSG_GETRULE`.
pub(crate) const GET_RULE: u16 = SUBSYSTEM << 8 | 7;
/// `NFT_MSG_DELRULE`.
pub(crate) const DELETE_RULE: u16 = SUBSYSTEM << 8 | 8;
/// `NFT_MSG_NEWSET`.
pub(crate) const NEW_SET: u16 = SUBSYSTEM << 8 | 9;
/// `NFT_MSG_DELSET`.
pub(crate) const DELETE_SET: u16 = SUBSYSTEM << 8 | 11;
/// `NFT_MSG_NEWOBJ`.
pub(crate) const NEW_OBJECT: u16 = SUBSYSTEM << 8 | 18;

/// `NFT_TABLE_F_DORMANT`: no chain of it is entered.
pub(crate) const DORMANT: u32 = 1;
/// `NFT_TABLE_F_OWNER`, since Linux 5.12: only the socket that made it may change it.
pub(crate) const OWNER: u32 = 2;
/// `NFT_TABLE_F_PERSIST`, since Linux 6.9: it stays when its owner's socket is closed.
pub(crate) const PERSIST: u32 = 4;

/// `NFTA_CHAIN_TABLE`.
pub(crate) const CHAIN_TABLE: u16 = 1;
/// `NFTA_CHAIN_NAME`.
pub(crate) const CHAIN_NAME: u16 = 3;
/// `NFTA_CHAIN_HOOK`.
pub(crate) const CHAIN_HOOK: u16 = 4;
/// `NFTA_CHAIN_POLICY`.
pub(crate) const CHAIN_POLICY: u16 = 5;
/// `NFTA_CHAIN_TYPE`.
pub(crate) const CHAIN_TYPE: u16 = 7;
/// `NFTA_HOOK_HOOKNUM`.
pub(crate) const HOOK_NUMBER: u16 = 1;
/// `NFTA_HOOK_PRIORITY`.
pub(crate) const HOOK_PRIORITY: u16 = 2;
/// `NFTA_HOOK_DEV`: a chain for one device only.
pub(crate) const HOOK_DEVICE: u16 = 3;

/// `NFTA_RULE_TABLE`.
pub(crate) const RULE_TABLE: u16 = 1;
/// `NFTA_RULE_CHAIN`.
pub(crate) const RULE_CHAIN: u16 = 2;
/// `NFTA_RULE_EXPRESSIONS`.
pub(crate) const RULE_EXPRESSIONS: u16 = 4;

/// `NFTA_SET_FLAGS`.
pub(crate) const SET_FLAGS: u16 = 3;
/// `NFTA_SET_KEY_TYPE`: for `nft`, the kernel only keeps it.
pub(crate) const SET_KEY_TYPE: u16 = 4;
/// `NFTA_SET_KEY_LEN`.
pub(crate) const SET_KEY_LENGTH: u16 = 5;
/// `NFTA_SET_DESC`.
pub(crate) const SET_DESCRIPTION: u16 = 9;
/// `NFTA_SET_ID`: names the set within its batch.
pub(crate) const SET_ID: u16 = 10;
/// `NFTA_SET_TIMEOUT`: in milliseconds.
pub(crate) const SET_TIMEOUT: u16 = 11;
/// `NFTA_SET_DESC_SIZE`.
pub(crate) const DESCRIPTION_SIZE: u16 = 1;
/// `NFT_SET_INTERVAL`.
pub(crate) const SET_INTERVAL: u32 = 0x4;
/// `NFT_SET_TIMEOUT`.
pub(crate) const SET_TIMES_OUT: u32 = 0x10;
/// `NFT_SET_EVAL`: rules fill it.
pub(crate) const SET_DYNAMIC: u32 = 0x20;

/// `NFTA_META_DREG`.
pub(crate) const META_TO: u16 = 1;
/// `NFTA_META_KEY`.
pub(crate) const META_KEY: u16 = 2;
/// `NFT_META_NFPROTO`.
pub(crate) const META_FAMILY: u32 = 15;
/// `NFT_META_L4PROTO`.
pub(crate) const META_TRANSPORT: u32 = 16;

/// `NFTA_PAYLOAD_DREG`.
pub(crate) const PAYLOAD_TO: u16 = 1;
/// `NFTA_PAYLOAD_BASE`.
pub(crate) const PAYLOAD_BASE: u16 = 2;
/// `NFTA_PAYLOAD_OFFSET`.
pub(crate) const PAYLOAD_OFFSET: u16 = 3;
/// `NFTA_PAYLOAD_LEN`.
pub(crate) const PAYLOAD_LENGTH: u16 = 4;
/// `NFT_PAYLOAD_NETWORK_HEADER`.
pub(crate) const NETWORK: u32 = 1;
/// `NFT_PAYLOAD_TRANSPORT_HEADER`.
pub(crate) const TRANSPORT: u32 = 2;

/// `NFTA_BITWISE_SREG`.
pub(crate) const BITWISE_FROM: u16 = 1;
/// `NFTA_BITWISE_DREG`.
pub(crate) const BITWISE_TO: u16 = 2;
/// `NFTA_BITWISE_LEN`.
pub(crate) const BITWISE_LENGTH: u16 = 3;
/// `NFTA_BITWISE_MASK`.
pub(crate) const BITWISE_MASK: u16 = 4;
/// `NFTA_BITWISE_XOR`.
pub(crate) const BITWISE_XOR: u16 = 5;
/// `NFTA_BITWISE_OP`: 0 is "and, then exclusive or".
pub(crate) const BITWISE_OP: u16 = 6;

/// `NFTA_CMP_SREG`.
pub(crate) const CMP_FROM: u16 = 1;
/// `NFTA_CMP_OP`: 0 is "equal".
pub(crate) const CMP_OP: u16 = 2;
/// `NFTA_CMP_DATA`.
pub(crate) const CMP_DATA: u16 = 3;

/// `NFTA_LOOKUP_SET`.
pub(crate) const LOOKUP_SET: u16 = 1;
/// `NFTA_LOOKUP_SREG`.
pub(crate) const LOOKUP_FROM: u16 = 2;
/// `NFTA_LOOKUP_DREG`.
pub(crate) const LOOKUP_TO: u16 = 3;
/// `NFTA_LOOKUP_FLAGS`: 1 is "not in".
pub(crate) const LOOKUP_FLAGS: u16 = 5;

/// `NFTA_DYNSET_SET_NAME`.
pub(crate) const DYNSET_SET: u16 = 1;
/// `NFTA_DYNSET_OP`.
pub(crate) const DYNSET_OP: u16 = 3;
/// `NFTA_DYNSET_SREG_KEY`.
pub(crate) const DYNSET_FROM: u16 = 4;
/// `NFTA_DYNSET_SREG_DATA`.
pub(crate) const DYNSET_DATA: u16 = 5;
/// `NFTA_DYNSET_TIMEOUT`.
pub(crate) const DYNSET_TIMEOUT: u16 = 6;
/// `NFTA_DYNSET_EXPR`.
pub(crate) const DYNSET_EXPRESSION: u16 = 7;
/// `NFTA_DYNSET_FLAGS`: 1 is "if it fails", 2 says that expressions follow.
pub(crate) const DYNSET_FLAGS: u16 = 9;
/// `NFTA_DYNSET_EXPRESSIONS`.
pub(crate) const DYNSET_EXPRESSIONS: u16 = 10;
/// `NFT_DYNSET_OP_ADD`.
pub(crate) const DYNSET_ADD: u32 = 0;
/// `NFT_DYNSET_OP_UPDATE`.
pub(crate) const DYNSET_UPDATE: u32 = 1;
/// `NFT_DYNSET_OP_DELETE`.
pub(crate) const DYNSET_DELETE: u32 = 2;

/// `NFTA_IMMEDIATE_DREG`.
pub(crate) const IMMEDIATE_TO: u16 = 1;
/// `NFTA_IMMEDIATE_DATA`.
pub(crate) const IMMEDIATE_DATA: u16 = 2;
/// `NFTA_DATA_VERDICT`.
pub(crate) const DATA_VERDICT: u16 = 2;
/// `NFTA_VERDICT_CODE`.
pub(crate) const VERDICT_CODE: u16 = 1;
/// `NFTA_VERDICT_CHAIN`.
pub(crate) const VERDICT_CHAIN: u16 = 2;
/// `NF_DROP`.
pub(crate) const DROP: i32 = 0;
/// `NF_ACCEPT`.
pub(crate) const ACCEPT: i32 = 1;
/// `NFT_JUMP`.
pub(crate) const JUMP: i32 = -3;

/// `NFTA_OBJREF_IMM_TYPE`.
pub(crate) const OBJREF_TYPE: u16 = 1;
/// `NFTA_OBJREF_IMM_NAME`.
pub(crate) const OBJREF_NAME: u16 = 2;
/// `NFTA_COUNTER_BYTES`.
pub(crate) const COUNTER_BYTES: u16 = 1;

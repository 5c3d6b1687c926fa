//! Numbers of `linux/netfilter/nfnetlink.h` and `linux/netfilter/nf_tables.h`; the newest of them are
//! missing in the headers of older distributions.

/// `NFNL_MSG_BATCH_BEGIN`.
pub(crate) const BATCH_BEGIN: u16 = 0x10;
/// `NFNL_MSG_BATCH_END`.
pub(crate) const BATCH_END: u16 = 0x11;
/// `NFNL_SUBSYS_NFTABLES`.
pub(crate) const SUBSYSTEM: u16 = 10;
/// `NFPROTO_INET`: the family of our table.
pub(crate) const INET: u8 = 1;

/// `NFT_MSG_GETTABLE`.
pub(crate) const GET_TABLE: u16 = SUBSYSTEM << 8 | 1;
/// `NFT_MSG_GETSET`.
pub(crate) const GET_SET: u16 = SUBSYSTEM << 8 | 10;
/// `NFT_MSG_NEWSETELEM`.
pub(crate) const NEW_ELEMENT: u16 = SUBSYSTEM << 8 | 12;
/// `NFT_MSG_GETSETELEM`.
pub(crate) const GET_ELEMENT: u16 = SUBSYSTEM << 8 | 13;
/// `NFT_MSG_DELSETELEM`.
pub(crate) const DELETE_ELEMENT: u16 = SUBSYSTEM << 8 | 14;
/// `NFT_MSG_GETGEN`.
pub(crate) const GET_GENERATION: u16 = SUBSYSTEM << 8 | 16;
/// `NFT_MSG_GETOBJ`.
pub(crate) const GET_OBJECT: u16 = SUBSYSTEM << 8 | 19;
/// `NFT_MSG_DESTROYSETELEM`, since Linux 6.3.
pub(crate) const DESTROY_ELEMENT: u16 = SUBSYSTEM << 8 | 30;

/// `NFTA_TABLE_NAME`.
pub(crate) const TABLE_NAME: u16 = 1;
/// `NFTA_TABLE_FLAGS`.
pub(crate) const TABLE_FLAGS: u16 = 2;
/// `NFTA_TABLE_OWNER`, since Linux 5.12: the netlink port of the process that owns the table.
pub(crate) const TABLE_OWNER: u16 = 7;

/// `NFTA_SET_TABLE`.
pub(crate) const SET_TABLE: u16 = 1;
/// `NFTA_SET_NAME`.
pub(crate) const SET_NAME: u16 = 2;
/// `NFTA_SET_COUNT`: how many elements there are, on newer kernels.
pub(crate) const SET_COUNT: u16 = 20;

/// `NFTA_SET_ELEM_LIST_TABLE`.
pub(crate) const LIST_TABLE: u16 = 1;
/// `NFTA_SET_ELEM_LIST_SET`.
pub(crate) const LIST_SET: u16 = 2;
/// `NFTA_SET_ELEM_LIST_ELEMENTS`.
pub(crate) const LIST_ELEMENTS: u16 = 3;
/// `NFTA_LIST_ELEM`: one of a list, of elements or of expressions.
pub(crate) const LIST_ITEM: u16 = 1;

/// `NFTA_SET_ELEM_KEY`.
pub(crate) const ELEMENT_KEY: u16 = 1;
/// `NFTA_SET_ELEM_FLAGS`.
pub(crate) const ELEMENT_FLAGS: u16 = 3;
/// `NFTA_SET_ELEM_TIMEOUT`: in milliseconds.
pub(crate) const ELEMENT_TIMEOUT: u16 = 4;
/// `NFTA_SET_ELEM_EXPIRATION`: in milliseconds from now.
pub(crate) const ELEMENT_EXPIRATION: u16 = 5;
/// `NFTA_SET_ELEM_EXPR`: what the element carries, if it is one thing.
pub(crate) const ELEMENT_EXPRESSION: u16 = 7;
/// `NFTA_SET_ELEM_EXPRESSIONS`: what the element carries, if it is several things.
pub(crate) const ELEMENT_EXPRESSIONS: u16 = 11;
/// `NFTA_DATA_VALUE`.
pub(crate) const DATA_VALUE: u16 = 1;
/// `NFT_SET_ELEM_INTERVAL_END`: the first address after an interval.
pub(crate) const FLAG_INTERVAL_END: u32 = 1;

/// `NFTA_EXPR_NAME`.
pub(crate) const EXPRESSION_NAME: u16 = 1;
/// `NFTA_EXPR_DATA`.
pub(crate) const EXPRESSION_DATA: u16 = 2;
/// `NFTA_COUNTER_PACKETS`.
pub(crate) const COUNTER_PACKETS: u16 = 2;

/// `NFTA_OBJ_TABLE`.
pub(crate) const OBJECT_TABLE: u16 = 1;
/// `NFTA_OBJ_NAME`.
pub(crate) const OBJECT_NAME: u16 = 2;
/// `NFTA_OBJ_TYPE`.
pub(crate) const OBJECT_TYPE: u16 = 3;
/// `NFTA_OBJ_DATA`.
pub(crate) const OBJECT_DATA: u16 = 4;
/// `NFT_OBJECT_COUNTER`.
pub(crate) const OBJECT_COUNTER: u32 = 1;

//! Numbers of the nftables subsystem, named as in Linux `include/uapi/linux/netfilter/nf_tables.h` without their
//! `NFT_`/`NFTA_` prefixes.

pub(super) const SUBSYSTEM: u16 = 10;
pub(super) const BATCH_BEGIN: u16 = 0x10;
pub(super) const BATCH_END: u16 = 0x11;
pub(super) const BATCH_GENID: u16 = 1;

pub(super) const MSG_NEWTABLE: u16 = 0;
pub(super) const MSG_GETTABLE: u16 = 1;
pub(super) const MSG_DELTABLE: u16 = 2;
pub(super) const MSG_NEWCHAIN: u16 = 3;
pub(super) const MSG_GETCHAIN: u16 = 4;
pub(super) const MSG_DELCHAIN: u16 = 5;
pub(super) const MSG_NEWRULE: u16 = 6;
pub(super) const MSG_GETRULE: u16 = 7;
pub(super) const MSG_DELRULE: u16 = 8;
pub(super) const MSG_NEWSET: u16 = 9;
pub(super) const MSG_GETSET: u16 = 10;
pub(super) const MSG_DELSET: u16 = 11;
pub(super) const MSG_NEWSETELEM: u16 = 12;
pub(super) const MSG_GETSETELEM: u16 = 13;
pub(super) const MSG_DELSETELEM: u16 = 14;
pub(super) const MSG_GETGEN: u16 = 16;

pub(super) const LIST_ELEM: u16 = 1;
pub(super) const GEN_ID: u16 = 1;

pub(super) const TABLE_NAME: u16 = 1;
pub(super) const TABLE_USERDATA: u16 = 6;

pub(super) const CHAIN_TABLE: u16 = 1;
pub(super) const CHAIN_NAME: u16 = 3;
pub(super) const CHAIN_HOOK: u16 = 4;
pub(super) const CHAIN_POLICY: u16 = 5;
pub(super) const CHAIN_TYPE: u16 = 7;
pub(super) const CHAIN_USERDATA: u16 = 12;
pub(super) const HOOK_HOOKNUM: u16 = 1;
pub(super) const HOOK_PRIORITY: u16 = 2;
pub(super) const HOOK_DEV: u16 = 3;

pub(super) const RULE_TABLE: u16 = 1;
pub(super) const RULE_CHAIN: u16 = 2;
pub(super) const RULE_HANDLE: u16 = 3;
pub(super) const RULE_EXPRESSIONS: u16 = 4;
pub(super) const RULE_POSITION: u16 = 6;
pub(super) const RULE_USERDATA: u16 = 7;

pub(super) const SET_TABLE: u16 = 1;
pub(super) const SET_NAME: u16 = 2;
pub(super) const SET_FLAGS: u16 = 3;
pub(super) const SET_KEY_TYPE: u16 = 4;
pub(super) const SET_KEY_LEN: u16 = 5;
pub(super) const SET_DATA_TYPE: u16 = 6;
pub(super) const SET_DATA_LEN: u16 = 7;
pub(super) const SET_DESC: u16 = 9;
pub(super) const SET_ID: u16 = 10;
pub(super) const SET_TIMEOUT: u16 = 11;
pub(super) const SET_USERDATA: u16 = 13;
pub(super) const SET_DESC_SIZE: u16 = 1;
pub(super) const SET_DESC_CONCAT: u16 = 2;
pub(super) const SET_FIELD_LEN: u16 = 1;
pub(super) const SET_F_ANONYMOUS: u32 = 1;
pub(super) const SET_F_INTERVAL: u32 = 4;
pub(super) const SET_F_MAP: u32 = 8;
pub(super) const SET_F_TIMEOUT: u32 = 16;
pub(super) const SET_F_EVAL: u32 = 32;
pub(super) const SET_F_CONCAT: u32 = 128;

pub(super) const ELEM_LIST_TABLE: u16 = 1;
pub(super) const ELEM_LIST_SET: u16 = 2;
pub(super) const ELEM_LIST_ELEMENTS: u16 = 3;
pub(super) const ELEM_KEY: u16 = 1;
pub(super) const ELEM_DATA: u16 = 2;
pub(super) const ELEM_FLAGS: u16 = 3;
pub(super) const ELEM_TIMEOUT: u16 = 4;
pub(super) const ELEM_EXPIRATION: u16 = 5;
pub(super) const ELEM_USERDATA: u16 = 6;
pub(super) const ELEM_KEY_END: u16 = 10;
pub(super) const ELEM_F_INTERVAL_END: u32 = 1;
pub(super) const ELEM_F_CATCHALL: u32 = 2;

pub(super) const DATA_VALUE: u16 = 1;
pub(super) const DATA_VERDICT: u16 = 2;
pub(super) const DATA_TYPE_VERDICT: u32 = 0xffff_ff00;
pub(super) const VERDICT_CODE: u16 = 1;
pub(super) const VERDICT_CHAIN: u16 = 2;

pub(super) const EXPR_NAME: u16 = 1;
pub(super) const EXPR_DATA: u16 = 2;

/// Types of comments in user data, as nft(8) writes them.
pub(super) const UDATA_COMMENT: u8 = 0;
pub(super) const UDATA_SET_COMMENT: u8 = 7;

//! The core group.

pub mod config_map;
pub mod event;
pub mod namespace;
pub mod secret;
pub mod service_account;

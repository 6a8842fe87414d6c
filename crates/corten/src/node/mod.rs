//! The node's part of the process: what carries out services and names for the pods of this machine.

pub(crate) mod bridge;
pub(crate) mod dns_feed;
pub(crate) mod dns_process;
pub(crate) mod kubelet;
pub(crate) mod proxy_feed;
pub(crate) mod settings;

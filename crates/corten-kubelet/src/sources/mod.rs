//! Where the node's pods come from.

pub mod api;

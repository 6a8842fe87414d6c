//! The gRPC interfaces that a node speaks, compiled from `proto/` without protoc; one feature per interface.
//!
//! The files hold the interface's names, numbers and types. Generated messages are plain data: what they mean is said by
//! the crates that use them (`corten-cri` for `cri`).
#![forbid(unsafe_code)]

#[cfg(feature = "cri")]
pub mod cri;

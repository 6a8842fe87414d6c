//! The kubelet: what runs the pods of one node.
//!
//! So far: the pure forming of a pod's resolver configuration.
#![forbid(unsafe_code)]

pub mod dns_config;

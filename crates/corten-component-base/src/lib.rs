//! What every component of Kubernetes has besides its work: logs, certificates.
#![forbid(unsafe_code)]

pub mod certificates;
pub mod logs;

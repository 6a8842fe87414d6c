//! What every component of Kubernetes has besides its work: logs, certificates, secure serving.
#![forbid(unsafe_code)]

pub mod certificates;
pub mod logs;
pub mod serving;

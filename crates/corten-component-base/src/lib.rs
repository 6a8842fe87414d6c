//! What every component of Kubernetes has besides its work: logs, feature gates, certificates, secure serving.
#![forbid(unsafe_code)]

pub mod certificates;
pub mod feature_gates;
pub mod logs;
pub mod serving;

//! Group autoscaling.

pub mod horizontal_pod_autoscaler;

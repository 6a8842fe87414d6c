//! Group storage.k8s.io.

pub mod storage_class;

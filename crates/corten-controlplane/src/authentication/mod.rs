//! Who asks: the authenticators of a cluster besides client certificates.

pub mod service_account;

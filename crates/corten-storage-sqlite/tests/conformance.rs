//! The embedded engine keeps the contract of engines.

mod support;

corten_storage::kv_conformance!(support::Sqlite::new());

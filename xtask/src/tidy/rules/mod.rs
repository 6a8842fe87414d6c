//! One file per rule; a new rule is a file here, a `mod` line and a line in the catalog.

pub(super) mod adr_numbers;
pub(super) mod ascii_sources;
pub(super) mod biased_selects;
pub(super) mod catalogs_sorted;
pub(super) mod crate_folders;
pub(super) mod ignored_tests;
pub(super) mod inherited_lints;
pub(super) mod layers;
pub(super) mod machine_places;
pub(super) mod merge_markers;
pub(super) mod module_docs;
pub(super) mod orphan_files;
pub(super) mod pure_code;
pub(super) mod quiet_libraries;
pub(super) mod sleeps;
pub(super) mod testkit_in_tests;
pub(super) mod unfinished_code;
pub(super) mod unsafe_code;
pub(super) mod unused_dependencies;
pub(super) mod workspace_dependencies;

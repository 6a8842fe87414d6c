//! Every rule of tidy, in the order of their names.

use super::finding::{Level, Place};
use super::project::Project;
use super::rules::{
    adr_numbers, ascii_sources, catalogs_sorted, crate_folders, ignored_tests, inherited_lints, layers, machine_places,
    module_docs, orphan_files, pure_code, sleeps, testkit_in_tests, unfinished_code, unsafe_code, unused_dependencies,
    workspace_dependencies,
};

/// Receives a finding: where, what is wrong, and what to do.
pub(crate) type Report<'a> = &'a mut dyn FnMut(Place, String, &'static str);

/// One invariant that the whole project is held to.
pub(crate) struct Rule {
    pub(crate) name: &'static str,
    pub(crate) level: Level,
    pub(crate) check: fn(&Project, Report<'_>),
}

const fn error(name: &'static str, check: fn(&Project, Report<'_>)) -> Rule {
    Rule { name, level: Level::Error, check }
}

const fn warning(name: &'static str, check: fn(&Project, Report<'_>)) -> Rule {
    Rule { name, level: Level::Warning, check }
}

pub(crate) static RULES: &[Rule] = &[
    error("adr-numbers", adr_numbers::check),
    error("ascii-sources", ascii_sources::check),
    error("catalogs-sorted", catalogs_sorted::check),
    error("crate-folders", crate_folders::check),
    error("ignored-tests", ignored_tests::check),
    error("inherited-lints", inherited_lints::check),
    error("layers", layers::check),
    error("machine-places", machine_places::check),
    error("module-docs", module_docs::check),
    error("orphan-files", orphan_files::check),
    error("pure-code", pure_code::check),
    error("sleeps", sleeps::check),
    error("testkit-in-tests", testkit_in_tests::check),
    error("unfinished-code", unfinished_code::check),
    error("unsafe-code", unsafe_code::check),
    error("workspace-dependencies", workspace_dependencies::check),
    warning("unused-dependencies", unused_dependencies::check),
];

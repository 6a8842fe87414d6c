//! Every rule of tidy, in the order of their names.

use super::finding::Place;
use super::project::Project;
use super::rules::{
    adr_numbers, ascii_sources, biased_selects, catalogs_sorted, crate_folders, ignored_tests, inherited_lints, layers,
    machine_places, merge_markers, module_docs, orphan_files, pure_code, quiet_libraries, sleeps, testkit_in_tests,
    unfinished_code, unsafe_code, unused_dependencies, workspace_dependencies,
};

/// Receives a finding: where, what is wrong, and what to do.
pub(crate) type Report<'a> = &'a mut dyn FnMut(Place, String, &'static str);

/// One invariant that the whole project is held to.
pub(crate) struct Rule {
    pub(crate) name: &'static str,
    pub(crate) check: fn(&Project, Report<'_>),
}

const fn rule(name: &'static str, check: fn(&Project, Report<'_>)) -> Rule {
    Rule { name, check }
}

pub(crate) static RULES: &[Rule] = &[
    rule("adr-numbers", adr_numbers::check),
    rule("ascii-sources", ascii_sources::check),
    rule("biased-selects", biased_selects::check),
    rule("catalogs-sorted", catalogs_sorted::check),
    rule("crate-folders", crate_folders::check),
    rule("ignored-tests", ignored_tests::check),
    rule("inherited-lints", inherited_lints::check),
    rule("layers", layers::check),
    rule("machine-places", machine_places::check),
    rule("merge-markers", merge_markers::check),
    rule("module-docs", module_docs::check),
    rule("orphan-files", orphan_files::check),
    rule("pure-code", pure_code::check),
    rule("quiet-libraries", quiet_libraries::check),
    rule("sleeps", sleeps::check),
    rule("testkit-in-tests", testkit_in_tests::check),
    rule("unfinished-code", unfinished_code::check),
    rule("unsafe-code", unsafe_code::check),
    rule("unused-dependencies", unused_dependencies::check),
    rule("workspace-dependencies", workspace_dependencies::check),
];

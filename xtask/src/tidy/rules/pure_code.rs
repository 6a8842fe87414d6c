//! Pure code decides and does nothing: no runtime, files, sockets, environment, clock, randomness or logging.
//!
//! Held to it are whole crates (by manifest and by text) and single modules (by text). Code that only tests compile and
//! build scripts are free.

use crate::tidy::catalog::Report;
use crate::tidy::finding::Place;
use crate::tidy::manifest::DependencyKind;
use crate::tidy::project::Project;
use crate::tidy::source::Source;

const PURE_CRATES: &[&str] = &["corten-api", "corten-apimachinery", "corten-resources"];

/// Folders and files of other crates that are held to the same.
const PURE_PLACES: &[&str] = &[
    "crates/corten-dns/src/message.rs",
    "crates/corten-dns/src/message/",
    "crates/corten-dns/src/zone.rs",
    "crates/corten-dns/src/zone/",
    "crates/corten-proxy/src/change_tracker/",
    "crates/corten-proxy/src/ruleset/",
    "crates/corten-scheduler/src/cache/",
    "crates/corten-scheduler/src/framework/",
    "crates/corten-scheduler/src/plugins/",
    "crates/corten-scheduler/src/queue/",
    "crates/corten-scheduler/src/schedule_one.rs",
];

/// This file. A project without it is not this one: a few lines in a test.
const HERE: &str = "xtask/src/tidy/rules/pure_code.rs";

/// Crates that only make sense with a runtime, a clock, a kernel or a log behind them.
const IMPURE_CRATES: &[&str] = &[
    "async-trait",
    "corten-component-base",
    "fs",
    "getrandom",
    "hyper",
    "hyper-util",
    "libc",
    "log",
    "mio",
    "nix",
    "parking_lot",
    "rand",
    "rusqlite",
    "rustix",
    "socket2",
    "tempfile",
    "tokio",
    "tokio-stream",
    "tokio-util",
    "tracing",
    "tracing-subscriber",
];

const IMPURE_PATHS: &[&str] = &[
    "corten_base::Clock",
    "corten_base::Shutdown",
    "corten_base::TaskSet",
    "corten_base::fs",
    "getrandom",
    "libc",
    "log",
    "nix",
    "rand",
    "rustix",
    "std::env",
    "std::fs",
    "std::net::TcpListener",
    "std::net::TcpStream",
    "std::net::ToSocketAddrs",
    "std::net::UdpSocket",
    "std::os",
    "std::process",
    "std::thread",
    "std::time::Instant",
    "std::time::SystemTime",
    "tokio",
    "tokio_stream",
    "tokio_util",
    "tracing",
];

const IMPURE_CALLS: &[&str] = &["Instant::now", "SystemTime::now", "Timestamp::now", "Zoned::now"];

const CURE: &str = "take the value as an argument and let the caller, a thin shell, do the work";

pub(crate) fn check(project: &Project, report: Report<'_>) {
    check_lists(project, report);
    for package in project.crates.iter().filter(|package| PURE_CRATES.contains(&package.name.as_str())) {
        let path = package.manifest_path();
        for dependency in package.dependencies.iter().filter(|d| d.kind == DependencyKind::Normal) {
            if IMPURE_CRATES.contains(&dependency.name.as_str()) {
                let line = project.files[&path].line_of(&format!("\n{}", dependency.name)) + 1;
                report(
                    Place::new(&path, line),
                    format!("{} is pure and depends on {}", package.name, dependency.name),
                    "drop the dependency: what needs it belongs to a crate above",
                );
            }
        }
    }
    for (path, source) in project.rust_sources() {
        if must_be_pure(project, path) {
            check_source(project, path, source, report);
        }
    }
}

/// What is listed and not there guards nothing: it was renamed, or never made.
fn check_lists(project: &Project, report: Report<'_>) {
    let Some(here) = project.files.get(HERE) else { return };
    let is_crate = |name: &str| project.crates.iter().any(|package| package.name == name);
    let is_place = |place: &str| project.rust_sources().any(|(path, _)| path.starts_with(place));
    let crates = PURE_CRATES.iter().filter(|name| !is_crate(name));
    for missing in crates.chain(PURE_PLACES.iter().filter(|place| !is_place(place))) {
        let line = here.line_of(&format!("\"{missing}\""));
        report(
            Place::new(HERE, line),
            format!("{missing} is held to be pure and does not exist"),
            "name what is there",
        );
    }
}

fn must_be_pure(project: &Project, path: &str) -> bool {
    let in_pure_crate = project.crate_of(path).is_some_and(|package| {
        PURE_CRATES.contains(&package.name.as_str()) && path[package.folder.len()..].starts_with("src/")
    });
    let is_plan = path.ends_with("/plan.rs") || path.contains("/plan/");
    in_pure_crate || is_plan || PURE_PLACES.iter().any(|place| path.starts_with(place))
}

fn check_source(project: &Project, path: &str, source: &Source, report: Report<'_>) {
    let imported = source.use_paths().into_iter().filter_map(|(at, used)| {
        let impure = IMPURE_PATHS.iter().find(|impure| starts_with_path(&used, impure))?;
        Some((at, *impure))
    });
    let inline = IMPURE_PATHS.iter().flat_map(|impure| {
        let uses = source.find_path(impure).filter(|&at| is_qualified_use(&source.code, at, impure));
        uses.map(|at| (at, *impure))
    });
    let called = IMPURE_CALLS.iter().flat_map(|call| source.find_path(call).map(|at| (at, *call)));
    let mut hits: Vec<(usize, &str)> = imported.chain(inline).chain(called).collect();
    hits.sort_unstable();
    hits.dedup_by_key(|(at, _)| source.line_at(*at));
    for (at, what) in hits {
        if !project.is_test_code(path, at) {
            report(Place::new(path, source.line_at(at)), format!("pure code uses {what}"), CURE);
        }
    }
}

fn starts_with_path(used: &str, impure: &str) -> bool {
    used.strip_prefix(impure).is_some_and(|rest| rest.is_empty() || rest.starts_with("::"))
}

/// Outside of a `use`: the path begins here and goes on, or has segments enough to be no local name.
fn is_qualified_use(code: &str, at: usize, impure: &str) -> bool {
    let begins = !code[..at].ends_with(':') && !code[..at].ends_with('.');
    let goes_on = code[at + impure.len()..].starts_with("::");
    begins && (goes_on || impure.contains("::"))
}

#[cfg(test)]
mod tests {
    use crate::tidy::testing::check;

    const PURE: (&str, &str) = (
        "crates/corten-api/Cargo.toml",
        "[package]\nname = \"corten-api\"\n[dependencies]\nindexmap.workspace = true\n",
    );

    #[test]
    fn passes_pure_code_and_its_tests() {
        check(
            super::check,
            &[
                PURE,
                ("crates/corten-api/build.rs", "use std::fs;"),
                (
                    "crates/corten-api/src/lib.rs",
                    "use std::net::IpAddr;\nuse std::time::Duration;\nfn f(rand: u8) { log(rand) }\n#[cfg(test)]\nmod tests { use std::fs; }\nmod x;",
                ),
                ("crates/corten-api/src/x/mod.rs", "// std::fs\n#[cfg(test)]\nmod tests;"),
                ("crates/corten-api/src/x/tests.rs", "use std::env;"),
                ("crates/corten-kubelet/src/lib.rs", "use tokio::fs;"),
            ],
            &[],
        );
    }

    #[test]
    fn reports_impure_dependencies() {
        let text = "[package]\nname = \"corten-api\"\n[dependencies]\ntokio.workspace = true\n[dev-dependencies]\nrand.workspace = true\n";
        check(super::check, &[("crates/corten-api/Cargo.toml", text)], &["crates/corten-api/Cargo.toml:4"]);
    }

    #[test]
    fn reports_impure_text_in_crates_plans_and_plugins() {
        check(
            super::check,
            &[
                PURE,
                (
                    "crates/corten-api/src/lib.rs",
                    "use std::{\n    fmt,\n    fs::File,\n};\nfn f() { let t = jiff::Timestamp::now(); }",
                ),
                ("crates/corten-controllers/src/job/plan.rs", "\nfn f() { tracing::info!(\"x\") }"),
                ("crates/corten-proxy/src/ruleset/mod.rs", "use std::net::{IpAddr, TcpStream};"),
                ("crates/corten-scheduler/src/plugins/x.rs", "fn f() { std::env::var(\"x\"); }"),
            ],
            &[
                "crates/corten-api/src/lib.rs:1",
                "crates/corten-api/src/lib.rs:5",
                "crates/corten-controllers/src/job/plan.rs:2",
                "crates/corten-proxy/src/ruleset/mod.rs:1",
                "crates/corten-scheduler/src/plugins/x.rs:1",
            ],
        );
    }

    /// Two crates that nobody had made stood in the lists, and what was there instead went unguarded.
    #[test]
    fn reports_what_is_listed_and_missing() {
        let names = super::PURE_CRATES.iter().map(|name| format!("    \"{name}\",\n"));
        let places = super::PURE_PLACES.iter().map(|place| format!("    \"{place}\",\n"));
        let here: String = names.chain(places).collect();
        let there: Vec<(String, String)> = super::PURE_CRATES
            .iter()
            .map(|name| (format!("crates/{name}/Cargo.toml"), format!("[package]\nname = \"{name}\"\n")))
            .chain(super::PURE_PLACES.iter().map(|place| {
                let path = if place.ends_with('/') { format!("{place}mod.rs") } else { (*place).to_owned() };
                (path, String::new())
            }))
            .chain([(super::HERE.to_owned(), here)])
            .collect();
        let files: Vec<(&str, &str)> = there.iter().map(|(path, text)| (path.as_str(), text.as_str())).collect();
        check(super::check, &files, &[]);
        let without =
            |gone: &str| files.iter().filter(|(path, _)| !path.starts_with(gone)).copied().collect::<Vec<_>>();
        check(super::check, &without("crates/corten-api/"), &["xtask/src/tidy/rules/pure_code.rs:1"]);
        let at = format!("{}:{}", super::HERE, super::PURE_CRATES.len() + 1);
        check(super::check, &without(super::PURE_PLACES[0]), &[at.as_str()]);
    }
}

//! `cargo xtask codegen functions`: which functions run, for the release binary's arrangement (`crates/corten/build.rs`).
//!
//! Flow: the release is built with its names, `bench counts` runs it under callgrind from its start through every verb, and
//! the functions that were in a profile are looked up in the binary's table of symbols. Names stand without the hash that
//! Rust adds, so that the list outlives new versions of dependencies. Many functions can share one that way: where most of
//! them never ran, those that did stand with their hashes, and the name once more behind them. An empty line ends each part.

use std::{
    collections::{BTreeMap, BTreeSet},
    fs,
    path::Path,
    process::Command,
};

use anyhow::{Context, ensure};

use crate::{places::Places, process};

/// What is written.
const OUTPUT: &str = "crates/corten/functions.txt";
/// How many bytes of functions that never ran may stand among those that did, for one name.
const WASTE_MAX: u64 = 20_000;
/// The length of the hash behind a name of Rust: `17h`, 16 digits, `E`.
const HASH_BYTES: usize = 20;

/// Builds, runs and writes the list.
///
/// Errors: valgrind is missing, or the binary cannot be built or run.
pub(super) fn make(places: &Places) -> anyhow::Result<()> {
    let target = places.target.join("functions");
    let profiles = target.join("profiles");
    if profiles.exists() {
        fs::remove_dir_all(&profiles).context("remove the profiles of the last time")?;
    }
    // The binary alone, as users build it: hashes depend on what is wanted of dependencies.
    for package in ["corten", "corten-bench"] {
        let mut build = process::cargo(&places.root);
        build.args(["build", "--release", "--package", package, "--target-dir"]).arg(&target);
        process::run(build.env("CORTEN_KEEP_NAMES", "1"))?;
    }
    let binary = target.join("release/corten");
    let mut count = Command::new(target.join("release/corten-bench"));
    count.args(["--runs", "1", "counts"]).env("CORTEN_BIN", &binary).env("CORTEN_BENCH_PROFILES", &profiles);
    process::run(count.env("VALGRIND_OPTS", "--demangle=no"))?;
    let symbols = process::output(Command::new("nm").args(["--print-size", "--defined-only"]).arg(&binary))?;
    let list = list(&symbols, &ran(&profiles)?);
    fs::write(places.root.join(OUTPUT), &list).with_context(|| format!("write {OUTPUT}"))?;
    println!("{OUTPUT}: {} names", list.lines().filter(|line| !line.is_empty()).count());
    Ok(())
}

/// The functions of all profiles in a folder.
fn ran(profiles: &Path) -> anyhow::Result<BTreeSet<String>> {
    let mut names = BTreeSet::new();
    for entry in fs::read_dir(profiles).with_context(|| format!("list {}", profiles.display()))? {
        let path = entry?.path();
        let text = fs::read_to_string(&path).with_context(|| format!("read {}", path.display()))?;
        names.extend(functions_of(&text).map(str::to_owned));
    }
    ensure!(!names.is_empty(), "the profiles name no functions");
    Ok(names)
}

/// The functions of a profile. Each is named where it comes first, as a function or as one that is called: `fn=(12) name`.
/// A function that calls itself has a depth behind its name.
fn functions_of(profile: &str) -> impl Iterator<Item = &str> {
    profile
        .lines()
        .filter_map(|line| line.strip_prefix("cfn=(").or_else(|| line.strip_prefix("fn=(")))
        .filter_map(|line| line.split_once(") "))
        .map(|(_, name)| name.split_once('\'').map_or(name, |(name, _)| name))
}

/// A name as all functions of one path share it.
fn without_hash(name: &str) -> &str {
    // The optimiser's own copies have more behind the hash.
    let name = name.split_once(".llvm.").map_or(name, |(name, _)| name);
    match name.len().checked_sub(HASH_BYTES) {
        Some(at) if name.starts_with("_ZN") && name[at..].starts_with("17h") => &name[..at],
        _ => name,
    }
}

/// The list, from what `nm` says of the binary's symbols.
fn list(symbols: &str, ran: &BTreeSet<String>) -> String {
    /// Functions that share a name: those that ran, each behind its address, and the bytes of the others.
    #[derive(Default)]
    struct Shared<'s> {
        ran: Vec<(u64, &'s str)>,
        never_ran_bytes: u64,
    }
    let mut names: BTreeMap<&str, Shared<'_>> = BTreeMap::new();
    for line in symbols.lines() {
        let mut columns = line.split_whitespace();
        let (Some(address), Some(size), Some("t" | "T"), Some(symbol)) =
            (columns.next(), columns.next(), columns.next(), columns.next())
        else {
            continue;
        };
        let number = |text| u64::from_str_radix(text, 16);
        let (Ok(address), Ok(bytes)) = (number(address), number(size)) else { continue };
        let shared = names.entry(without_hash(symbol)).or_default();
        if ran.contains(symbol) {
            shared.ran.push((address, symbol));
        } else {
            shared.never_ran_bytes += bytes;
        }
    }
    let [mut hot, mut exact, mut warm] = [const { Vec::new() }; 3];
    for (name, shared) in names {
        let Some(&(first, _)) = shared.ran.iter().min() else { continue };
        if shared.never_ran_bytes <= WASTE_MAX {
            hot.push((first, name));
        } else {
            exact.extend(shared.ran);
            warm.push((first, name));
        }
    }
    // As the compiler has them, which puts what belongs together side by side: by their names, requests took a tenth longer.
    let part = |mut names: Vec<(u64, &str)>| {
        names.sort_unstable();
        names.into_iter().map(|(_, name)| name).collect::<Vec<_>>().join("\n")
    };
    [hot, exact, warm].map(part).join("\n\n") + "\n"
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn functions_are_named_once_in_a_profile() {
        let profile =
            "fl=(1) a.rs\nfn=(1) main\n1 2\ncfn=(2) _ZN1a17h0123456789abcdefE'2\ncalls=1 1\n1 3\nfn=(2)\n1 3\n";
        assert_eq!(functions_of(profile).collect::<Vec<_>>(), ["main", "_ZN1a17h0123456789abcdefE"]);
    }

    #[test]
    fn what_mostly_runs_comes_first_and_what_never_ran_is_left_out() {
        let hash = "17h0123456789abcdefE";
        let other = "17hfedcba9876543210E";
        let symbols = format!(
            "0 10 t _ZN1a{hash}\n0 10 t _ZN1a{other}\n0 10 t _ZN1b{hash}\n0 ffff t _ZN1b{other}\n0 10 T c_function\n\
             0 10 t _ZN1d{hash}.llvm.12\n0 10 t _ZN4never{hash}\n0 10 r table\n"
        );
        let ran = [
            format!("_ZN1a{hash}"),
            format!("_ZN1b{hash}"),
            format!("_ZN1d{hash}.llvm.12"),
            "c_function".to_owned(),
            "of_a_library".to_owned(),
        ];
        assert_eq!(list(&symbols, &ran.into()), format!("_ZN1a\n_ZN1d\nc_function\n\n_ZN1b{hash}\n\n_ZN1b\n"));
    }
}

//! Asks the linker for a release binary that is smaller, and of which less is in memory; no code depends on it.
//!
//! Two wishes, by their shares of the binary:
//! - Relative relocations in packed form (`DT_RELR`), 4 %. The loader has to know them: glibc does since 2.36, and an older one
//!   refuses the binary by name (`GLIBC_ABI_DT_RELR`). A machine with an older glibc therefore builds without them.
//! - Equal functions as one (`--icf=all`), 3 %. Code that tells functions apart by their addresses alone would break; Rust
//!   promises no such addresses, and browsers are linked like this with the same kinds of C libraries.
//!
//! And one for what is resident: what runs lies together (`functions.txt`, which `cargo xtask codegen functions` writes). The
//! kernel maps a file in pieces of 64 KiB, and what every request calls is a few per cent of the code, spread over all of it:
//! two thirds of the code came into memory for it. docs/adr/010-what-runs-lies-together.md tells more.
//!
//! All only where Rust's own default, its `lld`, links: other linkers need not know the words, and would fail.

use std::{env, fmt::Write as _, fs, path::PathBuf, process::Command};

/// What says in Rust's flags that somebody chose the linker or how it is called.
const LINKER_CHOICES: &[&str] = &["linker", "fuse-ld", "link-self-contained"];
/// The first glibc that loads packed relocations.
const PACKED_SINCE: (u32, u32) = (2, 36);
/// The functions that run, as the linker knows them, in three parts with an empty line between them: names without the hash
/// that Rust adds; those of names that many functions share, with it; and those shared names. Hashes are other ones where
/// dependencies have other versions or features, and then the third part stands in for the second.
const FUNCTIONS: &str = "functions.txt";
/// Set to keep the names of functions in a release, and the order that the compiler gave them: what the list is made from.
const KEEP_NAMES: &str = "CORTEN_KEEP_NAMES";

fn main() {
    println!("cargo::rerun-if-changed=build.rs");
    println!("cargo::rerun-if-changed={FUNCTIONS}");
    println!("cargo::rerun-if-env-changed={KEEP_NAMES}");
    if !is_release() {
        return;
    }
    let keeps_names = env::var_os(KEEP_NAMES).is_some();
    if !keeps_names {
        println!("cargo::rustc-link-arg-bin=corten=-Wl,--strip-all");
    }
    if !links_with_lld() {
        return;
    }
    println!("cargo::rustc-link-arg-bin=corten=-Wl,--icf=all");
    if !keeps_names {
        let arrangement = PathBuf::from(env::var_os("OUT_DIR").expect("cargo sets it")).join("functions.ld");
        let functions = fs::read_to_string(FUNCTIONS).expect("the list of functions is beside the build script");
        fs::write(&arrangement, arrangement_of(&functions)).expect("the build's own folder can be written");
        println!("cargo::rustc-link-arg-bin=corten=-Wl,-T,{}", arrangement.display());
    }
    if glibc().is_some_and(|version| version >= PACKED_SINCE) {
        println!("cargo::rustc-link-arg-bin=corten=-Wl,-z,pack-relative-relocs");
    }
}

/// The linker's script: what runs, what has the same names, and behind it all other code, as it comes. A function that is not
/// there any more is passed over.
fn arrangement_of(functions: &str) -> String {
    let mut parts = functions.split("\n\n").map(str::lines);
    let mut part = || parts.next().into_iter().flatten();
    // Names of Rust end with a hash, those of C do not.
    let hashed = |name: &str| format!("{name}{}", if name.starts_with("_ZN") { "17h*" } else { "" });
    let hot: Vec<String> = part().map(hashed).collect();
    let hot = hot.into_iter().chain(part().map(str::to_owned)).collect();
    let warm: Vec<String> = part().map(hashed).collect();
    let mut script = "SECTIONS {\n".to_owned();
    for (section, names) in [("hot", hot), ("warm", warm)] {
        let _ = writeln!(script, "  .text.{section} : {{");
        for name in names {
            // What is called seldom has a section of another name, and runs all the same: locks that wait, vectors that grow.
            let _ = writeln!(script, "    *(.text.{name} .text.unlikely.{name})");
        }
        script.push_str("  }\n");
    }
    script.push_str("} INSERT BEFORE .text;\n");
    script
}

/// Whether this is a release without names of functions: in a profile's tree, one of several equal functions would stand for all.
fn is_release() -> bool {
    is("PROFILE", "release") && is("DEBUG", "false")
}

/// Whether Rust links with the `lld` that it brings, its default for this one target.
fn links_with_lld() -> bool {
    let flags = env::var("CARGO_ENCODED_RUSTFLAGS").unwrap_or_default();
    is("TARGET", "x86_64-unknown-linux-gnu")
        && env::var_os("RUSTC_LINKER").is_none()
        && !LINKER_CHOICES.iter().any(|choice| flags.contains(choice))
}

/// The version of this machine's glibc, if it builds for itself.
fn glibc() -> Option<(u32, u32)> {
    if env::var("HOST") != env::var("TARGET") {
        return None;
    }
    let output = Command::new("getconf").arg("GNU_LIBC_VERSION").output().ok()?;
    let text = String::from_utf8(output.stdout).ok()?;
    let (major, minor) = text.trim().strip_prefix("glibc ")?.split_once('.')?;
    Some((major.parse().ok()?, minor.parse().ok()?))
}

fn is(name: &str, value: &str) -> bool {
    env::var(name).as_deref() == Ok(value)
}

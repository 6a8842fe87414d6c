//! Asks the linker for a smaller release binary; no code depends on it.
//!
//! Two wishes, by their shares of the binary:
//! - Relative relocations in packed form (`DT_RELR`), 4 %. The loader has to know them: glibc does since 2.36, and an older one
//!   refuses the binary by name (`GLIBC_ABI_DT_RELR`). A machine with an older glibc therefore builds without them.
//! - Equal functions as one (`--icf=all`), 3 %. Code that tells functions apart by their addresses alone would break; Rust
//!   promises no such addresses, and browsers are linked like this with the same kinds of C libraries.
//!
//! Both only where Rust's own default, its `lld`, links: other linkers need not know the words, and would fail.

use std::{env, process::Command};

/// What says in Rust's flags that somebody chose the linker or how it is called.
const LINKER_CHOICES: &[&str] = &["linker", "fuse-ld", "link-self-contained"];
/// The first glibc that loads packed relocations.
const PACKED_SINCE: (u32, u32) = (2, 36);

fn main() {
    println!("cargo::rerun-if-changed=build.rs");
    if !is_release() || !links_with_lld() {
        return;
    }
    println!("cargo::rustc-link-arg-bin=corten=-Wl,--icf=all");
    if glibc().is_some_and(|version| version >= PACKED_SINCE) {
        println!("cargo::rustc-link-arg-bin=corten=-Wl,-z,pack-relative-relocs");
    }
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

//! Compiles the interface files of the enabled features to Rust, without protoc.

use std::{env, error::Error};

/// The interfaces: the feature that enables one, its file, and the messages whose `Debug` we write ourselves because they hold secrets.
const INTERFACES: &[Interface] =
    &[Interface { feature: "CRI", file: "cri_v1.proto", secrets: &[".runtime.v1.AuthConfig"] }];

struct Interface {
    feature: &'static str,
    file: &'static str,
    secrets: &'static [&'static str],
}

fn main() -> Result<(), Box<dyn Error>> {
    println!("cargo:rerun-if-changed=build.rs");
    println!("cargo:rerun-if-changed=proto");
    for interface in INTERFACES {
        if env::var_os(format!("CARGO_FEATURE_{}", interface.feature)).is_none() {
            continue;
        }
        let files = protox::compile([interface.file], ["proto"])?;
        tonic_prost_build::configure()
            // Ordered maps: the same message gives the same bytes and the same debug text in every run.
            .btree_map(".")
            .bytes(".")
            .build_transport(false)
            .emit_rerun_if_changed(false)
            .skip_debug(interface.secrets.iter().copied())
            .compile_fds(files)?;
    }
    Ok(())
}

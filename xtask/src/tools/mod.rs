//! The tools that tests need, installed under `target/tools`: programs in `bin`, the rest beside it.
//!
//! Each tool has a pinned version where its source keeps old ones, and a stamp that says what was installed, so that a
//! second run does nothing. Nothing is written elsewhere.

mod cargo_tools;
mod clients;
mod debian;
mod kubectl;
mod python;

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::Context;

use crate::places::Places;
use crate::stopwatch::Stopwatch;

/// One tool: a name for progress lines, a version that invalidates what stands, and how to install it.
struct Tool {
    name: &'static str,
    version: &'static str,
    install: fn(&Places, version: &str) -> anyhow::Result<()>,
}

// The quick ones first: the others are built from source, which takes minutes.
static TOOLS: &[Tool] =
    &[kubectl::TOOL, clients::PYTHON, clients::JAVASCRIPT, debian::TOOL, cargo_tools::NEXTEST, cargo_tools::DENY];

/// Installs what is missing, in turn. A tool that fails does not keep the others from being tried.
///
/// Errors: the tools that could not be installed, each with cause and cure.
pub(crate) fn install_all(places: &Places) -> anyhow::Result<()> {
    let mut failed = Vec::new();
    for tool in TOOLS {
        if let Err(error) = install(places, tool) {
            println!("tools: {}: {error:#}", tool.name);
            failed.push(tool.name);
        }
    }
    anyhow::ensure!(failed.is_empty(), "not installed: {}; causes and cures are above", failed.join(", "));
    Ok(())
}

fn install(places: &Places, tool: &Tool) -> anyhow::Result<()> {
    let stamp = places.tools.join("stamps").join(tool.name.replace(' ', "-"));
    if fs::read_to_string(&stamp).is_ok_and(|installed| installed == tool.version) {
        return Ok(());
    }
    // Cargo says little where there is no terminal.
    let hint = if tool.name.starts_with("cargo-") { ", which is built from source and takes some minutes" } else { "" };
    println!("tools: installing {} ({}){hint}", tool.name, tool.version);
    let watch = Stopwatch::start();
    create_folder(&places.tools.join("bin"))?;
    (tool.install)(places, tool.version)?;
    create_folder(&places.tools.join("stamps"))?;
    fs::write(&stamp, tool.version).with_context(|| format!("write {}", stamp.display()))?;
    println!("tools: {} installed in {}", tool.name, watch.elapsed_text());
    Ok(())
}

fn create_folder(path: &Path) -> anyhow::Result<()> {
    fs::create_dir_all(path).with_context(|| format!("create folder {}", path.display()))
}

/// An empty folder for downloads and unpacking, cleared of what an interrupted run left.
fn scratch_folder(places: &Places, name: &str) -> anyhow::Result<PathBuf> {
    let folder = places.tools.join("scratch").join(name);
    remove_folder(&folder)?;
    create_folder(&folder)?;
    Ok(folder)
}

/// The one file with this ending in a folder.
fn find_file(folder: &Path, extension: &str) -> anyhow::Result<PathBuf> {
    let entries = fs::read_dir(folder).with_context(|| format!("read folder {}", folder.display()))?;
    let mut paths = entries.filter_map(|entry| Some(entry.ok()?.path()));
    paths
        .find(|path| path.extension().is_some_and(|found| found == extension))
        .with_context(|| format!("no .{extension} file in {}", folder.display()))
}

fn remove_folder(path: &Path) -> anyhow::Result<()> {
    match fs::remove_dir_all(path) {
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
            Err(error).with_context(|| format!("remove folder {}", path.display()))
        }
        _ => Ok(()),
    }
}

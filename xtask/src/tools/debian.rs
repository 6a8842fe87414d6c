//! Programs from Debian packages, downloaded and unpacked without being installed.
//!
//! `apt-get download` and `dpkg -x` touch nothing outside of the folders they are given; no maintainer script runs. The
//! package index of the system is used when it is there and current, otherwise one is fetched into `target/tools`.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, bail};

use super::{Tool, create_folder, remove_folder, scratch_folder};
use crate::places::Places;
use crate::process::output;

/// A package and the programs of it that get an entry in `bin`.
struct Package {
    name: &'static str,
    programs: &'static [&'static str],
    /// Packages with shared libraries that the programs load from beside themselves.
    libraries: &'static [&'static str],
}

static PACKAGES: &[Package] = &[
    // For images: linked to the C library, whose resolver the static one cannot use, and its shell searches PATH.
    Package { name: "busybox", programs: &[], libraries: &["libc6"] },
    Package { name: "busybox-static", programs: &["bin/busybox"], libraries: &[] },
    Package { name: "docker-registry", programs: &["usr/bin/docker-registry"], libraries: &[] },
    Package {
        name: "nftables",
        programs: &["usr/sbin/nft"],
        libraries: &[
            "libnftables1",
            "libnftnl11",
            "libmnl0",
            "libjansson4",
            "libxtables12",
            "libedit2",
            "libbsd0",
            "libmd0",
        ],
    },
    Package { name: "runc", programs: &["usr/sbin/runc"], libraries: &["libseccomp2"] },
];

/// The version is raised when the list above changes; which version of a package comes is the mirror's choice.
pub(super) const TOOL: Tool = Tool { name: "Debian packages", version: "list 2", install };

fn install(places: &Places, _version: &str) -> anyhow::Result<()> {
    let download = scratch_folder(places, "debian")?;
    let names: Vec<&str> =
        PACKAGES.iter().flat_map(|package| std::iter::once(&package.name).chain(package.libraries)).copied().collect();
    fetch(places, &download, &names)?;
    for package in PACKAGES {
        let root = places.tools.join("debian").join(package.name);
        remove_folder(&root)?;
        create_folder(&root)?;
        for name in std::iter::once(&package.name).chain(package.libraries) {
            let archive = find_archive(&download, name)?;
            output(Command::new("dpkg").arg("-x").arg(&archive).arg(&root))
                .with_context(|| format!("unpack {}", archive.display()))?;
        }
        for program in package.programs {
            place_program(places, &root.join(program), !package.libraries.is_empty())?;
        }
    }
    remove_folder(&download)
}

/// Downloads with the system's package index, and if that is missing or outdated with a fresh one of our own.
fn fetch(places: &Places, download: &Path, names: &[&str]) -> anyhow::Result<()> {
    let apt = places.tools.join("apt");
    for folder in ["cache/archives/partial", "state/lists/partial"] {
        create_folder(&apt.join(folder))?;
    }
    let cache = format!("Dir::Cache={}", apt.join("cache").display());
    let apt_get = |private_lists: bool| {
        let mut command = Command::new("apt-get");
        // Downloading as the calling user: apt's own user may not write below target/.
        command.current_dir(download).args(["-q", "-o", "APT::Sandbox::User=", "-o", &cache]);
        if private_lists {
            command.arg("-o").arg(format!("Dir::State::Lists={}", apt.join("state/lists").display()));
        }
        command
    };
    let missing = "start apt-get: the tests' helper programs come from Debian packages, so run them on Debian";
    let first = output(apt_get(false).arg("download").args(names));
    let Err(first_error) = first else { return Ok(()) };
    println!("tools: the system's package index is missing or old, fetching one");
    output(apt_get(true).arg("update")).context(missing).with_context(|| format!("after: {first_error:#}"))?;
    output(apt_get(true).arg("download").args(names))
        .context("download Debian packages: is a mirror reachable, and is this Debian 12?")?;
    Ok(())
}

fn find_archive(folder: &Path, name: &str) -> anyhow::Result<PathBuf> {
    let entries = fs::read_dir(folder).with_context(|| format!("read folder {}", folder.display()))?;
    for entry in entries {
        let entry = entry?;
        if entry.file_name().to_string_lossy().starts_with(&format!("{name}_")) {
            return Ok(entry.path());
        }
    }
    bail!("apt-get downloaded no {name}")
}

/// Makes the program callable as `bin/<name>`: a link, or a script that lets it find its libraries.
fn place_program(places: &Places, program: &Path, with_libraries: bool) -> anyhow::Result<()> {
    let name = program.file_name().context("a program has a name")?;
    anyhow::ensure!(program.exists(), "the package holds no {}", program.display());
    let entry = places.tools.join("bin").join(name);
    if entry.symlink_metadata().is_ok() {
        fs::remove_file(&entry).with_context(|| format!("remove {}", entry.display()))?;
    }
    if !with_libraries {
        return std::os::unix::fs::symlink(program, &entry).with_context(|| format!("link {}", entry.display()));
    }
    let root = program.ancestors().find(|folder| folder.join("usr").exists()).context("the package has a root")?;
    let libraries: Vec<String> = ["usr/lib/x86_64-linux-gnu", "lib/x86_64-linux-gnu"]
        .iter()
        .map(|folder| root.join(folder).display().to_string())
        .collect();
    let script = format!("#!/bin/sh\nLD_LIBRARY_PATH='{}' exec '{}' \"$@\"\n", libraries.join(":"), program.display());
    fs::write(&entry, script).with_context(|| format!("write {}", entry.display()))?;
    fs::set_permissions(&entry, fs::Permissions::from_mode(0o755))
        .with_context(|| format!("make {} executable", entry.display()))
}

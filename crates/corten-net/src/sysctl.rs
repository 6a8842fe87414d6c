//! Kernel settings of one network namespace: the files below `/proc/sys/net`.
//!
//! The kernel shows each thread the settings of its own namespace, so access happens on a thread inside it. Source:
//! Linux `Documentation/networking/ip-sysctl.rst`.

use std::path::PathBuf;

use corten_base::fs::{self, FsError};

use crate::netns::{Netns, NetnsError};

/// A failed access to a kernel setting.
#[derive(Debug, thiserror::Error)]
pub enum SysctlError {
    /// Not a setting of the network, or not well-formed.
    #[error("{name:?} is not the name of a network setting")]
    Name {
        /// The name.
        name: String,
    },
    /// The namespace could not be entered.
    #[error(transparent)]
    Netns(#[from] NetnsError),
    /// The setting could not be read or written.
    #[error(transparent)]
    File(#[from] FsError),
}

impl SysctlError {
    /// Whether this kernel does not have the setting (or the interface that it is about).
    #[must_use]
    pub fn is_not_found(&self) -> bool {
        matches!(self, Self::File(e) if e.is_not_found())
    }
}

/// Reads a setting such as `net/ipv4/ip_forward`, without its final newline. Names have slashes, because names of
/// interfaces may have dots.
pub fn read(netns: &Netns, name: &str) -> Result<String, SysctlError> {
    let path = path(name)?;
    let text = netns.run(|| fs::read_to_string(&path))??;
    Ok(text.trim_end().to_owned())
}

/// Writes a setting.
pub fn write(netns: &Netns, name: &str, value: &str) -> Result<(), SysctlError> {
    write_all(netns, &[(name, value)])
}

/// Writes several settings in order with one visit to the namespace; stops at the first that fails.
pub fn write_all(netns: &Netns, settings: &[(&str, &str)]) -> Result<(), SysctlError> {
    let settings =
        settings.iter().map(|(name, value)| Ok((path(name)?, *value))).collect::<Result<Vec<_>, SysctlError>>()?;
    netns.run(|| settings.iter().try_for_each(|(path, value)| fs::write(path, value.as_bytes())))??;
    Ok(())
}

/// Writes a setting if this kernel has it; returns whether it has. For settings of optional parts, such as
/// `net/bridge/...`.
pub fn write_if_present(netns: &Netns, name: &str, value: &str) -> Result<bool, SysctlError> {
    let path = path(name)?;
    // Opening a missing file for writing says "permission denied" here, so look first.
    netns
        .run(|| if path.exists() { fs::write(&path, value.as_bytes()).map(|()| true) } else { Ok(false) })?
        .map_err(Into::into)
}

fn path(name: &str) -> Result<PathBuf, SysctlError> {
    let well_formed = name.starts_with("net/")
        && name.split('/').all(|part| !matches!(part, "" | "." | ".."))
        && !name.contains('\0');
    if well_formed {
        Ok(PathBuf::from("/proc/sys").join(name))
    } else {
        Err(SysctlError::Name { name: name.to_owned() })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn refuses_names_outside_the_network() {
        for name in ["kernel/hostname", "net/../kernel/hostname", "net.ipv4.ip_forward", "net//x", "/net/x", "net/"] {
            assert!(matches!(path(name), Err(SysctlError::Name { .. })), "{name:?} was accepted");
        }
        path("net/ipv4/conf/eth0.1/route_localnet").unwrap();
    }
}

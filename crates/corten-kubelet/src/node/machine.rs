//! What the kubelet says about the machine: read once from procfs and sysfs, then handed on by value.
//!
//! Upstream: cadvisor's machine info and version info, as pkg/kubelet/nodestatus reads them (v1.35).

use std::{collections::BTreeMap, path::Path};

use corten_base::fs::{self, FsError};

/// The machine a node runs on.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Machine {
    /// Processors that are online.
    pub cpus: u32,
    /// `MemTotal`.
    pub memory_bytes: u64,
    /// `SwapTotal`.
    pub swap_bytes: u64,
    /// The size of the file system that holds the kubelet's directory; 0 if unknown.
    pub storage_bytes: u64,
    /// How many huge pages there are, by their size in bytes.
    pub huge_pages: BTreeMap<u64, u64>,
    /// `/etc/machine-id`.
    pub machine_id: String,
    /// The firmware's UUID, or the machine id where there is none or it may not be read.
    pub system_uuid: String,
    /// New with every start of the machine.
    pub boot_id: String,
    /// `uname -r`.
    pub kernel_version: String,
    /// `PRETTY_NAME` of `/etc/os-release`.
    pub os_image: String,
}

/// Why the machine could not be read.
#[derive(Debug, thiserror::Error)]
pub enum MachineError {
    /// A file of procfs could not be read.
    #[error(transparent)]
    File(#[from] FsError),
    /// `/proc/meminfo` has no such line.
    #[error("/proc/meminfo has no {0}")]
    Memory(&'static str),
    /// `uname` failed.
    #[error("uname")]
    Kernel(#[source] nix::Error),
}

impl Machine {
    /// Reads the machine this process runs on. `root` is the kubelet's directory, or a parent of it that exists.
    ///
    /// Errors: procfs is not there. What only some machines have (a firmware UUID, huge pages) may be missing.
    pub fn read(root: &Path) -> Result<Self, MachineError> {
        let memory = fs::read_to_string(Path::new("/proc/meminfo"))?;
        let machine_id = first_content(&["/etc/machine-id", "/var/lib/dbus/machine-id"]);
        let system_uuid = first_content(&["/sys/class/dmi/id/product_uuid", "/proc/device-tree/vm,uuid"]);
        let kernel = nix::sys::utsname::uname().map_err(MachineError::Kernel)?;
        Ok(Self {
            cpus: online_cpus(),
            memory_bytes: memory_line(&memory, "MemTotal").ok_or(MachineError::Memory("MemTotal"))?,
            swap_bytes: memory_line(&memory, "SwapTotal").unwrap_or_default(),
            storage_bytes: storage_bytes(root),
            huge_pages: huge_pages(Path::new("/sys/kernel/mm/hugepages")),
            system_uuid: if system_uuid.is_empty() { machine_id.clone() } else { system_uuid },
            machine_id,
            boot_id: first_content(&["/proc/sys/kernel/random/boot_id"]),
            kernel_version: kernel.release().to_string_lossy().into_owned(),
            os_image: os_image(),
        })
    }
}

/// The first of these files that can be read and says something.
fn first_content(paths: &[&str]) -> String {
    let texts = paths.iter().filter_map(|path| fs::read_to_string(Path::new(path)).ok());
    texts.map(|text| text.trim().trim_end_matches('\0').to_owned()).find(|text| !text.is_empty()).unwrap_or_default()
}

/// The memory that is free or that the kernel gives back at once. Blocks.
///
/// Errors: procfs is not there. Source: cadvisor's working set of the root group, subtracted from the capacity.
pub fn available_memory_bytes() -> Result<u64, MachineError> {
    let memory = fs::read_to_string(Path::new("/proc/meminfo"))?;
    let line = |name| memory_line(&memory, name).ok_or(MachineError::Memory(name));
    Ok(line("MemFree")?.saturating_add(line("Inactive(file)")?))
}

fn memory_line(text: &str, key: &str) -> Option<u64> {
    let rest = text.lines().find_map(|line| line.strip_prefix(key)?.strip_prefix(':'))?;
    let kibibytes: u64 = rest.trim().trim_end_matches("kB").trim().parse().ok()?;
    kibibytes.checked_mul(1 << 10)
}

fn online_cpus() -> u32 {
    let online = first_content(&["/sys/devices/system/cpu/online"]);
    let counted = cpu_list(&online).filter(|count| *count > 0);
    counted.unwrap_or_else(|| {
        std::thread::available_parallelism().map_or(1, |count| u32::try_from(count.get()).unwrap_or(u32::MAX))
    })
}

/// How many processors a list such as `0-3,8` names.
fn cpu_list(list: &str) -> Option<u32> {
    list.split(',')
        .map(|part| match part.split_once('-') {
            Some((first, last)) => {
                let (first, last): (u32, u32) = (first.parse().ok()?, last.parse().ok()?);
                last.checked_sub(first)?.checked_add(1)
            }
            None => part.parse::<u32>().ok().map(|_| 1),
        })
        .try_fold(0_u32, |sum, count| sum.checked_add(count?))
}

/// The file system's size; 0 if there is none at any parent of `path`.
fn storage_bytes(path: &Path) -> u64 {
    let known = path.ancestors().find_map(|parent| nix::sys::statvfs::statvfs(parent).ok());
    known.map_or(0, |stat| stat.blocks().saturating_mul(stat.fragment_size()))
}

/// `hugepages-2048kB/nr_hugepages` and its kin. A kernel without huge pages has no such directory.
fn huge_pages(directory: &Path) -> BTreeMap<u64, u64> {
    let entries = std::fs::read_dir(directory).into_iter().flatten().filter_map(Result::ok);
    entries
        .filter_map(|entry| {
            let name = entry.file_name().into_string().ok()?;
            let size: u64 = name.strip_prefix("hugepages-")?.strip_suffix("kB")?.parse().ok()?;
            let count = fs::read_to_string(&entry.path().join("nr_hugepages")).ok()?;
            Some((size.checked_mul(1 << 10)?, count.trim().parse().ok()?))
        })
        .collect()
}

fn os_image() -> String {
    let release = first_content(&["/etc/os-release", "/usr/lib/os-release"]);
    let name = release.lines().find_map(|line| line.strip_prefix("PRETTY_NAME="));
    name.map_or_else(|| "Linux".to_owned(), |name| name.trim_matches(['"', '\'']).to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_list_of_processors_is_counted() {
        for (list, want) in [("0", Some(1)), ("0-3", Some(4)), ("0-1,4,6-7", Some(5)), ("", None), ("3-1", None)] {
            assert_eq!(cpu_list(list), want, "{list:?}");
        }
    }

    #[test]
    fn memory_is_read_in_bytes() {
        let text = "MemTotal:       16384 kB\nSwapTotal:             0 kB\n";
        assert_eq!(memory_line(text, "MemTotal"), Some(16 << 20));
        assert_eq!(memory_line(text, "SwapTotal"), Some(0));
        assert_eq!(memory_line(text, "MemFree"), None);
    }

    #[test]
    fn this_machine_can_be_read() {
        let machine = Machine::read(Path::new("/no/such/directory")).unwrap();
        assert!(machine.cpus > 0 && machine.memory_bytes > 0 && machine.storage_bytes > 0, "{machine:?}");
        assert!(!machine.kernel_version.is_empty() && !machine.boot_id.is_empty());
    }
}

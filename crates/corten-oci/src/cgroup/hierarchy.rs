//! Where the machine's control group hierarchies are mounted.

use std::path::{Path, PathBuf};

use corten_base::{
    fs,
    mounts::{self, Mount},
};

use super::CgroupError;

/// Which version holds the controllers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Layout {
    /// One hierarchy per controller; a v2 hierarchy beside them ("hybrid") is not used.
    V1,
    /// Version 2 alone.
    Unified,
}

/// The mounted hierarchies.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Hierarchies {
    layout: Layout,
    /// Mount point and its controllers; under v2 one entry named `unified`.
    mounts: Vec<(PathBuf, Vec<String>)>,
}

impl Hierarchies {
    /// Looks at the mounts of this process.
    pub fn detect() -> Result<Self, CgroupError> {
        Self::among(mounts::read()?)
    }

    pub(crate) fn among(mounts: Vec<Mount>) -> Result<Self, CgroupError> {
        let mut v1: Vec<(PathBuf, Vec<String>)> = Vec::new();
        let mut v2 = None;
        for Mount { point, file_system, super_options } in mounts {
            match file_system.as_str() {
                "cgroup" => {
                    // Options of the super block: the flags every file system has, the controllers, and `name=` of
                    // hierarchies that have none and belong to somebody else.
                    let controllers: Vec<String> = super_options
                        .split(',')
                        .filter(|option| !GENERIC_OPTIONS.contains(option) && !option.contains('='))
                        .map(str::to_owned)
                        .collect();
                    let known = v1.iter().any(|(_, known)| *known == controllers);
                    if !controllers.is_empty() && !known {
                        v1.push((point, controllers));
                    }
                }
                "cgroup2" => v2 = v2.or(Some(point)),
                _ => {}
            }
        }
        if !v1.is_empty() {
            return Ok(Self { layout: Layout::V1, mounts: v1 });
        }
        let unified = v2.ok_or(CgroupError::Missing("mounted"))?;
        Ok(Self { layout: Layout::Unified, mounts: vec![(unified, vec!["unified".to_owned()])] })
    }

    /// Which version holds the controllers.
    #[must_use]
    pub fn layout(&self) -> Layout {
        self.layout
    }

    /// The mount points.
    pub(crate) fn roots(&self) -> impl Iterator<Item = &Path> {
        self.mounts.iter().map(|(root, _)| root.as_path())
    }

    /// The mount point of a controller.
    #[must_use]
    pub fn root_of(&self, controller: &str) -> Option<&Path> {
        self.mounts
            .iter()
            .find(|(_, controllers)| controllers.iter().any(|known| known == controller))
            .map(|(root, _)| root.as_path())
    }

    /// The directory of the v2 group a process is in.
    pub(super) fn unified_group_of(&self, pid: libc::pid_t) -> Result<PathBuf, CgroupError> {
        let root = self.root_of("unified").ok_or(CgroupError::Missing("version 2"))?;
        let path = PathBuf::from(format!("/proc/{pid}/cgroup"));
        let text = fs::read_to_string(&path)?;
        let group = text.lines().find_map(|line| line.strip_prefix("0::/"));
        group.map(|group| root.join(group)).ok_or(CgroupError::Malformed { path, text })
    }
}

static GENERIC_OPTIONS: &[&str] = &["rw", "ro", "xattr", "clone_children", "noprefix", "nsdelegate"];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hybrid_means_the_controllers_of_version_1() {
        let text = "30 25 0:26 / /sys/fs/cgroup/cpu,cpuacct rw,relatime shared:9 - cgroup cgroup rw,cpu,cpuacct\n\
                    31 25 0:27 / /sys/fs/cgroup/memory rw,relatime - cgroup cgroup rw,memory\n\
                    32 25 0:28 / /sys/fs/cgroup/systemd rw - cgroup cgroup rw,xattr,name=systemd\n\
                    33 25 0:29 / /sys/fs/cgroup/unified rw - cgroup2 cgroup2 rw,nsdelegate\n";
        let hierarchies = Hierarchies::among(mounts::parse(text.as_bytes())).unwrap();
        assert_eq!(hierarchies.layout(), Layout::V1);
        assert_eq!(hierarchies.root_of("cpuacct"), Some(Path::new("/sys/fs/cgroup/cpu,cpuacct")));
        assert_eq!(hierarchies.root_of("unified"), None);
        assert_eq!(hierarchies.roots().count(), 2);
    }

    #[test]
    fn version_2_alone_is_unified() {
        let text = "33 25 0:29 / /sys/fs/cgroup rw - cgroup2 cgroup2 rw,nsdelegate\n";
        let hierarchies = Hierarchies::among(mounts::parse(text.as_bytes())).unwrap();
        assert_eq!(hierarchies.layout(), Layout::Unified);
        assert_eq!(hierarchies.root_of("unified"), Some(Path::new("/sys/fs/cgroup")));
        assert!(Hierarchies::among(Vec::new()).is_err());
    }
}

//! Whose directory a root is. `delete` removes what a cluster has made and nothing else; a cluster begins where nobody else
//! keeps anything.
//!
//! A cluster's directory has its lock file or its record; both come before anything else and go after it.

use std::{
    fs::OpenOptions,
    io::ErrorKind,
    os::unix::fs::OpenOptionsExt as _,
    path::{Path, PathBuf},
};

use anyhow::bail;
use corten_base::fs::{self, Context as _};
use rustix::fs::OFlags;

use crate::{places::Places, rights};

/// What the root of a file system has by itself.
const NOBODYS: &str = "lost+found";

/// The mode of the lock file: whoever may open a file may lock it, too, and so keep its owner away.
pub(crate) const LOCK_MODE: u32 = 0o600;

/// What a directory is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Ground {
    /// It is not there, or has nothing in it.
    Free,
    /// A cluster's.
    Cluster,
    /// Somebody else's; one of the things in it.
    Foreign(PathBuf),
}

/// Looks whose the root is. Changes nothing.
///
/// Errors: it cannot be read, or is no directory.
pub(crate) fn look(places: &Places) -> anyhow::Result<Ground> {
    if [places.lock(), places.record()].iter().any(|marker| marker.exists()) {
        return Ok(Ground::Cluster);
    }
    let entries = match std::fs::read_dir(&places.root) {
        Ok(entries) => entries,
        Err(error) if error.kind() == ErrorKind::NotFound => return Ok(Ground::Free),
        Err(error) if error.kind() == ErrorKind::NotADirectory => {
            bail!("{} is no directory: name one with --root", places.root.display())
        }
        Err(error) => return Err(error).at("list", &places.root).map_err(Into::into),
    };
    for entry in entries {
        let entry = entry.at("list", &places.root)?;
        if entry.file_name() != NOBODYS {
            return Ok(Ground::Foreign(entry.path()));
        }
    }
    Ok(Ground::Free)
}

/// Makes the root, and its lock file as the sign of whose it is, unless they are there.
///
/// Errors: the directory is somebody else's, or others can write in it; what cannot be made.
pub(crate) fn settle(places: &Places) -> anyhow::Result<()> {
    rights::expect_own(places)?;
    match look(places)? {
        Ground::Cluster => return Ok(()),
        Ground::Free => {}
        // It has our name: what else is there, such as a backup, was put beside a cluster.
        Ground::Foreign(_) if places.is_default() => {}
        Ground::Foreign(theirs) => bail!(
            "{} holds something that is not a cluster's ({}): choose a directory that is empty or new with --root",
            places.root.display(),
            theirs.file_name().map(Path::new).unwrap_or(&theirs).display()
        ),
    }
    if places.root.is_symlink() {
        // Links that lead somewhere were followed before.
        bail!("{} is a link that leads nowhere: make what it leads to, or remove it", places.root.display());
    }
    fs::create_dir_all(&places.root)?;
    // Again: somebody may have been faster to make it.
    rights::expect_own(places)?;
    let lock = places.lock();
    let no_link = OFlags::NOFOLLOW.bits().cast_signed();
    let mut options = OpenOptions::new();
    let options = options.write(true).create(true).truncate(false).mode(LOCK_MODE).custom_flags(no_link);
    options.open(&lock).at("create", &lock)?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(made: &[&str], want: &Ground) {
        let directory = tempfile::tempdir().unwrap();
        let places = Places::new(&directory.path().join("root")).unwrap();
        for name in made {
            fs::create_dir_all(&places.root).unwrap();
            fs::write(&places.root.join(name), b"").unwrap();
        }
        let want = match want {
            Ground::Foreign(name) => Ground::Foreign(places.root.join(name)),
            want => want.clone(),
        };
        assert_eq!(look(&places).unwrap(), want);
        match (settle(&places), want) {
            (Ok(()), Ground::Free | Ground::Cluster) => assert_eq!(look(&places).unwrap(), Ground::Cluster),
            (Err(error), Ground::Foreign(_)) => {
                assert!(error.to_string().contains("not a cluster's (log)"), "{error}");
                assert!(!places.lock().exists(), "nothing is left in it");
            }
            (settled, want) => panic!("{settled:?} in {want:?}"),
        }
    }

    /// "Create directory: File exists" and "list: Not a directory" said little to whoever had typed a wrong name.
    #[test]
    fn what_is_no_directory_is_said_to_be_none() {
        let directory = tempfile::tempdir().unwrap();
        let (file, link) = (directory.path().join("file"), directory.path().join("link"));
        fs::write(&file, b"").unwrap();
        std::os::unix::fs::symlink(directory.path().join("nowhere"), &link).unwrap();
        for (path, why) in [(&file, "is no directory: name one with --root"), (&link, "is a link that leads nowhere")] {
            let error = settle(&Places::new(path).unwrap()).unwrap_err().to_string();
            assert!(error.starts_with(&path.display().to_string()) && error.contains(why), "{error}");
        }
    }

    /// `sudo corten up --detach` beside a user's control plane left a directory of root's there.
    #[test]
    fn root_makes_nothing_in_a_users_directory() {
        if !nix::unistd::Uid::effective().is_root() {
            println!("skipped: only root can give a directory away");
            return;
        }
        let directory = tempfile::tempdir().unwrap();
        std::os::unix::fs::chown(directory.path(), Some(65_534), None).unwrap();
        let refused = settle(&Places::new(directory.path()).unwrap()).unwrap_err().to_string();
        assert!(refused.contains("belongs to user 65534, who could lead root to any file"), "{refused}");
        assert_eq!(std::fs::read_dir(directory.path()).unwrap().count(), 0);
    }

    /// `delete --root /srv` once removed /srv/log and /srv/pki, whoever's they were, and `up` began anywhere.
    #[test]
    fn only_what_is_empty_or_a_clusters_is_taken() {
        check(&[], &Ground::Free);
        check(&["lost+found"], &Ground::Free);
        check(&["log"], &Ground::Foreign("log".into()));
        check(&["log", "corten.pid"], &Ground::Cluster);
        check(&["log", "cluster.json"], &Ground::Cluster);
    }
}

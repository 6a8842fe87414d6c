//! Whose directory a root is. `delete` removes what a cluster has made and nothing else; a cluster begins where nobody else
//! keeps anything.
//!
//! A cluster's directory has its lock file or its record; both come before anything else and go after it.

use std::{
    fs::OpenOptions,
    io::ErrorKind,
    path::{Path, PathBuf},
};

use anyhow::bail;
use corten_base::fs::{self, Context as _};

use crate::config::Places;

/// What the root of a file system has by itself.
const NOBODYS: &str = "lost+found";

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
/// Errors: the directory is somebody else's; what cannot be made.
pub(crate) fn settle(places: &Places) -> anyhow::Result<()> {
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
    fs::create_dir_all(&places.root)?;
    let lock = places.lock();
    OpenOptions::new().write(true).create(true).truncate(false).open(&lock).at("create", &lock)?;
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

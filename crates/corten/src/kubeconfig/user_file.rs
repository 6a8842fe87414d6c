//! The kubeconfig of the person at the keyboard: which file it is, whose, and how it is changed.
//!
//! Found as kind finds it: the first file named in `KUBECONFIG` that exists, the last if none does; otherwise
//! `~/.kube/config`, of whoever called sudo. Changed under the lock that kubectl takes, so that no write is lost.
//!
//! Only a regular file is changed, and keeps its mode and its owner; a link is followed. `KUBECONFIG=/dev/null` is how people
//! say that there is none, and a device that is replaced by a file is a broken machine.
//!
//! What belongs to whoever called sudo is changed with their rights and not with root's: their directory may lead anywhere.

use std::{
    ffi::OsStr,
    fs::{File, Metadata, OpenOptions},
    io::{ErrorKind, Write as _},
    os::unix::fs::{MetadataExt as _, PermissionsExt as _, fchown},
    path::{Path, PathBuf},
};

use anyhow::{Context as _, bail};
use corten_base::fs::{self, Context as _};
use nix::unistd::{Gid, Uid, User, setfsgid, setfsuid};

use super::{Entry, merge};

/// How many links may follow each other. Source: Linux path_resolution(7).
const LINKS_MAX: usize = 40;

/// A kubeconfig and whom it has to belong to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct UserFile {
    /// Where it is.
    pub(crate) path: PathBuf,
    /// With whose rights it is changed, when those are not the caller's.
    owner: Option<(u32, u32)>,
}

/// The part of the environment that says which file it is.
#[derive(Debug, Default)]
struct Environment<'a> {
    kubeconfig: Option<&'a OsStr>,
    home: Option<&'a OsStr>,
    sudo_uid: Option<u32>,
}

/// The file of whoever started this process; nothing if there is no home directory.
///
/// Errors: the account of `SUDO_UID` cannot be looked up.
pub(crate) fn find() -> anyhow::Result<Option<UserFile>> {
    let (kubeconfig, home) = (std::env::var_os("KUBECONFIG"), std::env::var_os("HOME"));
    let sudo_uid = std::env::var("SUDO_UID").ok().and_then(|uid| uid.parse().ok()).filter(|uid| *uid != 0);
    let environment = Environment {
        kubeconfig: kubeconfig.as_deref(),
        home: home.as_deref(),
        sudo_uid: sudo_uid.filter(|_| is_root()),
    };
    find_in(&environment, |uid| {
        let account = User::from_uid(Uid::from_raw(uid)).context("look up the account that called sudo")?;
        Ok(account.map(|account| (account.dir, account.gid.as_raw())))
    })
}

fn is_root() -> bool {
    Uid::effective().is_root()
}

fn find_in(
    environment: &Environment<'_>,
    account: impl Fn(u32) -> anyhow::Result<Option<(PathBuf, u32)>>,
) -> anyhow::Result<Option<UserFile>> {
    let caller = environment.sudo_uid.map(|uid| Ok::<_, anyhow::Error>((uid, account(uid)?))).transpose()?;
    let caller = caller.and_then(|(uid, account)| account.map(|(home, gid)| (home, (uid, gid))));
    let owner = caller.as_ref().map(|(_, owner)| *owner);
    let named: Vec<PathBuf> = environment
        .kubeconfig
        .map(|list| std::env::split_paths(list).filter(|path| !path.as_os_str().is_empty()).collect())
        .unwrap_or_default();
    if let Some(path) = named.iter().find(|path| path.exists()).or(named.last()) {
        // Root's own file, by its name: `sudo KUBECONFIG=/etc/kubernetes/admin.conf`.
        let owner = owner.filter(|_| !belongs_to_root(path));
        return Ok(Some(UserFile { path: path.clone(), owner }));
    }
    let home = caller.map(|(home, _)| home).or(environment.home.map(PathBuf::from));
    Ok(home.map(|home| UserFile { path: home.join(".kube/config"), owner }))
}

impl UserFile {
    /// Puts the entry into the file and makes it the current context.
    ///
    /// Errors: what cannot be read or written; it is there and no regular file, which is left alone.
    pub(crate) fn add(&self, entry: &Entry) -> anyhow::Result<()> {
        self.as_owner(|| {
            if self.is_something_else()? {
                bail!("{} is no regular file, and is left alone", self.path.display());
            }
            if let Some(directory) = self.path.parent().filter(|directory| !directory.as_os_str().is_empty()) {
                fs::create_dir_all(directory)?;
            }
            self.change(|text| merge::add(text, entry).map(Some))
        })
    }

    /// Puts the entry in place of the one of its name; a file without it stays as it is, and so does the current context.
    pub(crate) fn refresh(&self, entry: &Entry) -> anyhow::Result<()> {
        self.as_owner(|| {
            if !self.path.exists() || self.is_something_else()? {
                return Ok(());
            }
            self.change(|text| merge::refresh(text, entry))
        })
    }

    /// Takes the context out; a file without it stays as it is.
    pub(crate) fn remove(&self, name: &str) -> anyhow::Result<()> {
        self.as_owner(|| {
            if !self.path.exists() || self.is_something_else()? {
                return Ok(());
            }
            self.change(|text| merge::remove(text, name))
        })
    }

    /// Does `work` on files with the owner's rights, on a thread of its own: rights to files belong to a thread.
    fn as_owner<T: Send>(&self, work: impl FnOnce() -> anyhow::Result<T> + Send) -> anyhow::Result<T> {
        let Some((uid, gid)) = self.owner.filter(|_| is_root()) else { return work() };
        let with_rights = move || {
            take_rights(uid, gid)?;
            work()
        };
        let ended = std::thread::scope(|scope| scope.spawn(with_rights).join());
        ended.unwrap_or_else(|panic| std::panic::resume_unwind(panic))
    }

    /// Whether there is something that is no regular file: a device, a pipe, a directory.
    fn is_something_else(&self) -> anyhow::Result<bool> {
        match std::fs::metadata(&self.path) {
            Ok(metadata) => Ok(!metadata.is_file()),
            Err(error) if error.kind() == ErrorKind::NotFound => Ok(false),
            Err(error) => Err(error).at("look at", &self.path).map_err(Into::into),
        }
    }

    fn change(&self, change: impl FnOnce(&str) -> anyhow::Result<Option<String>>) -> anyhow::Result<()> {
        // A link is followed: its target is replaced, not the link.
        let path = target_of(&self.path)?;
        let _lock = FileLock::take(&path)?;
        let (text, metadata) = match std::fs::metadata(&path) {
            Ok(metadata) => (fs::read_to_string(&path)?, Some(metadata)),
            Err(error) if error.kind() == ErrorKind::NotFound => (String::new(), None),
            Err(error) => return Err(error).at("look at", &path).map_err(Into::into),
        };
        let changed = change(&text).with_context(|| format!("change {}", path.display()))?;
        match (changed, metadata) {
            (None, _) => Ok(()),
            (Some(changed), None) => Ok(fs::write_atomic(&path, changed.as_bytes(), 0o600)?),
            (Some(changed), Some(metadata)) => replace(&path, changed.as_bytes(), &metadata),
        }
    }
}

/// What a path leads to in the end, also where that does not exist.
fn target_of(path: &Path) -> anyhow::Result<PathBuf> {
    let mut path = path.to_owned();
    for _ in 0..LINKS_MAX {
        match std::fs::read_link(&path) {
            Ok(target) => path = path.parent().unwrap_or(Path::new("")).join(target),
            Err(error) if matches!(error.kind(), ErrorKind::InvalidInput | ErrorKind::NotFound) => return Ok(path),
            Err(error) => return Err(error).at("read the link", &path).map_err(Into::into),
        }
    }
    bail!("{} leads in a circle", path.display())
}

/// Replaces the content of a file, which keeps its mode and owner: at once, or in place where the owner of a new file could not
/// be the same.
fn replace(path: &Path, content: &[u8], was: &Metadata) -> anyhow::Result<()> {
    let directory = path.parent().filter(|parent| !parent.as_os_str().is_empty()).unwrap_or(Path::new("."));
    let mut new = tempfile::NamedTempFile::new_in(directory).at("create a file in", directory)?;
    let place = new.path().to_owned();
    let made = new.as_file().metadata().at("look at", &place)?;
    if (made.uid(), made.gid()) != (was.uid(), was.gid()) {
        match fchown(new.as_file(), Some(was.uid()), Some(was.gid())) {
            Ok(()) => {}
            // Somebody who may write to the file, and is neither its owner nor in its group.
            Err(error) if error.kind() == ErrorKind::PermissionDenied => return Ok(fs::write(path, content)?),
            Err(error) => return Err(error).at("set owner of", &place).map_err(Into::into),
        }
    }
    new.write_all(content).at("write", &place)?;
    let mode = std::fs::Permissions::from_mode(was.mode() & 0o7777);
    new.as_file().set_permissions(mode).at("set mode of", &place)?;
    new.as_file().sync_all().at("sync", &place)?;
    new.persist(path).map_err(|error| error.error).at("rename to", path)?;
    Ok(File::open(directory).and_then(|directory| directory.sync_all()).at("sync", directory)?)
}

fn belongs_to_root(path: &Path) -> bool {
    std::fs::metadata(path).is_ok_and(|metadata| metadata.uid() == 0)
}

/// Gives this thread the rights to files that `uid` and `gid` have, and no others: root's power over files goes with its id.
fn take_rights(uid: u32, gid: u32) -> anyhow::Result<()> {
    let (uid, gid) = (Uid::from_raw(uid), Gid::from_raw(gid));
    // The group first, while that is allowed. The calls give what was before, and change nothing for an impossible id.
    setfsgid(gid);
    setfsuid(uid);
    let (nobody, nothing) = (Uid::from_raw(u32::MAX), Gid::from_raw(u32::MAX));
    if (setfsuid(nobody), setfsgid(nothing)) != (uid, gid) {
        bail!("the kernel does not give the rights of user {uid} to this thread");
    }
    Ok(())
}

/// The lock that kubectl takes: a file beside the kubeconfig that only one can make.
struct FileLock(PathBuf);

impl FileLock {
    fn take(path: &Path) -> anyhow::Result<Self> {
        let mut lock = path.as_os_str().to_owned();
        lock.push(".lock");
        let lock = PathBuf::from(lock);
        let made: std::io::Result<File> = OpenOptions::new().write(true).create_new(true).open(&lock);
        match made {
            Ok(_) => Ok(Self(lock)),
            Err(error) if error.kind() == std::io::ErrorKind::AlreadyExists => bail!(
                "another program is changing {}; if none is, remove {} and try again",
                path.display(),
                lock.display()
            ),
            Err(error) => Err(error).at("create", &lock).map_err(Into::into),
        }
    }
}

impl Drop for FileLock {
    fn drop(&mut self) {
        if let Err(error) = std::fs::remove_file(&self.0) {
            tracing::warn!(path = %self.0.display(), err = %error, "Could not remove lock file");
        }
    }
}

#[cfg(test)]
mod tests;

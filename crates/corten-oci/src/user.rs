//! Users and groups of an image, looked up in its own files.
//!
//! The root file system belongs to whoever made the image: paths are resolved inside it, and files are read to a limit.

use std::{
    fs::File,
    io::Read as _,
    os::fd::{AsFd as _, OwnedFd},
    path::Path,
};

use nix::errno::Errno;

use crate::{
    error::{During as _, SystemError},
    sys,
};

/// Enough for tens of thousands of users; a larger file is cut.
const FILE_LIMIT_BYTES: u64 = 4 << 20;

/// A user as a process needs it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ResolvedUser {
    /// The user's number.
    pub uid: u32,
    /// The primary group's number.
    pub gid: u32,
    /// Groups that list the user, without the primary one, ascending.
    pub additional_gids: Vec<u32>,
    /// The home directory, if the user is known.
    pub home: Option<String>,
}

/// Why a user of an image could not be found.
#[derive(Debug, thiserror::Error)]
pub enum UserError {
    /// A name that the image's passwd file does not have.
    #[error("unable to find user {0}: no matching entries in passwd file")]
    NoUser(String),
    /// A name that the image's group file does not have.
    #[error("unable to find group {0}: no matching entries in group file")]
    NoGroup(String),
    /// The root file system could not be read.
    #[error(transparent)]
    System(#[from] SystemError),
}

/// Resolves an image's `USER`: `name`, `uid`, `name:group`, `uid:gid` or nothing (root).
///
/// A number need not be in the files; then its group is 0. Without an explicit group the groups that list the user are added.
pub fn resolve(rootfs: &Path, user: &str) -> Result<ResolvedUser, UserError> {
    let accounts = Accounts::read(rootfs)?;
    let (user, group) = user.split_once(':').map_or((user, None), |(user, group)| (user, Some(group)));
    accounts.resolve(user, group.filter(|group| !group.is_empty()))
}

/// The home directory of a user; `/` when the image does not know one.
pub(crate) fn home(root: &Path, uid: u32) -> Result<String, SystemError> {
    let accounts = Accounts::read(root)?;
    Ok(accounts.users().find(|user| user.uid == uid).map_or_else(|| "/".to_owned(), |user| user.home.to_owned()))
}

/// The two files of an image; empty where it has none.
struct Accounts {
    passwd: String,
    group: String,
}

struct User<'a> {
    name: &'a str,
    uid: u32,
    gid: u32,
    home: &'a str,
}

struct Group<'a> {
    name: &'a str,
    gid: u32,
    members: &'a str,
}

impl Accounts {
    fn read(root: &Path) -> Result<Self, SystemError> {
        let root = nix::fcntl::open(
            root,
            nix::fcntl::OFlag::O_PATH | nix::fcntl::OFlag::O_CLOEXEC,
            nix::sys::stat::Mode::empty(),
        )
        .during(format!("open root file system {}", root.display()))?;
        Ok(Self { passwd: read_inside(&root, c"etc/passwd")?, group: read_inside(&root, c"etc/group")? })
    }

    fn users(&self) -> impl Iterator<Item = User<'_>> {
        self.passwd.lines().filter_map(|line| {
            let mut fields = line.split(':');
            let name = fields.next()?;
            let uid = fields.nth(1)?.parse().ok()?;
            let gid = fields.next()?.parse().ok()?;
            let home = fields.nth(1).filter(|home| !home.is_empty()).unwrap_or("/");
            Some(User { name, uid, gid, home })
        })
    }

    fn groups(&self) -> impl Iterator<Item = Group<'_>> {
        self.group.lines().filter_map(|line| {
            let mut fields = line.split(':');
            let name = fields.next()?;
            let gid = fields.nth(1)?.parse().ok()?;
            Some(Group { name, gid, members: fields.next().unwrap_or_default() })
        })
    }

    fn resolve(&self, user: &str, group: Option<&str>) -> Result<ResolvedUser, UserError> {
        let user = if user.is_empty() { "0" } else { user };
        let number: Option<u32> = user.parse().ok();
        let found = self.users().find(|known| known.name == user || Some(known.uid) == number);
        let (uid, gid, home) = match (&found, number) {
            (Some(known), _) => (known.uid, known.gid, Some(known.home.to_owned())),
            (None, Some(uid)) => (uid, 0, None),
            (None, None) => return Err(UserError::NoUser(user.to_owned())),
        };
        if let Some(group) = group {
            let number: Option<u32> = group.parse().ok();
            let found = self.groups().find(|known| known.name == group || Some(known.gid) == number);
            let gid = found.map(|known| known.gid).or(number).ok_or_else(|| UserError::NoGroup(group.to_owned()))?;
            return Ok(ResolvedUser { uid, gid, additional_gids: Vec::new(), home });
        }
        let mut additional_gids: Vec<u32> = match &found {
            Some(known) => self
                .groups()
                .filter(|group| group.gid != gid && group.members.split(',').any(|member| member == known.name))
                .map(|group| group.gid)
                .collect(),
            None => Vec::new(),
        };
        additional_gids.sort_unstable();
        additional_gids.dedup();
        Ok(ResolvedUser { uid, gid, additional_gids, home })
    }
}

/// Reads a text file of the image; empty when there is none.
fn read_inside(root: &OwnedFd, path: &std::ffi::CStr) -> Result<String, SystemError> {
    // Not blocking: an image may ship a pipe under this name.
    let flags = libc::O_RDONLY | libc::O_NONBLOCK;
    let resolve = sys::RESOLVE_IN_ROOT | sys::RESOLVE_NO_MAGICLINKS;
    let file = match sys::openat2(root.as_fd(), path, flags, 0, resolve) {
        Ok(file) => File::from(file),
        Err(Errno::ENOENT | Errno::ENOTDIR | Errno::ELOOP) => return Ok(String::new()),
        Err(errno) => return Err(errno).during(format!("open {path:?} of the image")),
    };
    if !file.metadata().during(format!("stat {path:?} of the image"))?.is_file() {
        return Ok(String::new());
    }
    let mut bytes = Vec::new();
    file.take(FILE_LIMIT_BYTES).read_to_end(&mut bytes).during(format!("read {path:?} of the image"))?;
    Ok(String::from_utf8_lossy(&bytes).into_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn accounts() -> Accounts {
        Accounts {
            passwd: "root:x:0:0:root:/root:/bin/sh\nbroken line\nweb:x:33:34:Web:/var/www:/bin/false\n".to_owned(),
            group: "root:x:0:\nwww:x:34:\nlogs:x:50:other,web\nadm:x:4:web\n".to_owned(),
        }
    }

    #[track_caller]
    fn check(user: &str, group: Option<&str>, uid: u32, gid: u32, additional: &[u32]) {
        let user = accounts().resolve(user, group).unwrap();
        assert_eq!((user.uid, user.gid, user.additional_gids.as_slice()), (uid, gid, additional));
    }

    #[test]
    fn names_and_numbers_are_found() {
        check("", None, 0, 0, &[]);
        check("web", None, 33, 34, &[4, 50]);
        check("33", None, 33, 34, &[4, 50]);
        check("web", Some("logs"), 33, 50, &[]);
        check("web", Some("77"), 33, 77, &[]);
        check("1000", None, 1000, 0, &[]);
    }

    #[test]
    fn unknown_names_are_errors() {
        assert!(matches!(accounts().resolve("nobody", None), Err(UserError::NoUser(_))));
        assert!(matches!(accounts().resolve("web", Some("nogroup")), Err(UserError::NoGroup(_))));
    }

    #[test]
    fn links_of_the_image_stay_inside_it() {
        let root = tempfile::tempdir().unwrap();
        std::fs::create_dir(root.path().join("etc")).unwrap();
        std::fs::create_dir(root.path().join("real")).unwrap();
        std::fs::write(root.path().join("real/passwd"), "inside:x:7:8::/in:/bin/sh\n").unwrap();
        std::os::unix::fs::symlink("/real/passwd", root.path().join("etc/passwd")).unwrap();
        let user = resolve(root.path(), "inside").unwrap();
        assert_eq!((user.uid, user.gid, user.home.as_deref()), (7, 8, Some("/in")));
        assert_eq!(home(root.path(), 7).unwrap(), "/in");
        assert_eq!(home(root.path(), 9).unwrap(), "/");
    }
}

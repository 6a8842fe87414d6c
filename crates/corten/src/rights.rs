//! With whose rights a command works in a root.
//!
//! Whoever can write into a directory can put a link in the place of anything there, at any time, and so lead root to any file
//! of the machine. So root works only where nobody else can write; what a user keeps, who runs a control plane there, root ends
//! with that user's rights.

use std::{
    io::ErrorKind,
    os::unix::fs::MetadataExt as _,
    path::{Path, PathBuf},
};

use anyhow::{Context as _, bail};
use corten_base::fs::Context as _;
use nix::unistd::{Gid, Uid, setgroups, setresgid, setresuid};

use crate::places::Places;

/// Who can change something.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Owner {
    uid: u32,
    gid: u32,
    mode: u32,
}

/// With whose rights to work.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Rights {
    /// Those that this process has.
    Own,
    /// Those of this user and group.
    Of(u32, u32),
}

/// Fails where somebody else could lead this process to files that are not theirs. Changes nothing.
pub(crate) fn expect_own(places: &Places) -> anyhow::Result<()> {
    match look(places)? {
        Rights::Own => Ok(()),
        Rights::Of(user, _) => bail!(
            "{root} belongs to user {user}, who could lead root to any file of this machine: name another directory with \
             --root, or give this one to root (`chown -R 0 {root}`)",
            root = places.root.display()
        ),
    }
}

/// Gives up root's rights for those of the user whose the root is; whether there were any to give up. For good: nothing of this
/// process may need more.
///
/// Errors: it is root's in part.
pub(crate) fn step_down(places: &Places) -> anyhow::Result<()> {
    let Rights::Of(user, group) = look(places)? else { return Ok(()) };
    let (user, group) = (Uid::from_raw(user), Gid::from_raw(group));
    setgroups(&[])
        .and_then(|()| setresgid(group, group, group))
        .and_then(|()| setresuid(user, user, user))
        .with_context(|| format!("take the rights of user {user}"))
}

fn look(places: &Places) -> anyhow::Result<Rights> {
    let own = Uid::effective().as_raw();
    // What is no directory, and a link that leads nowhere, is nobody's ground.
    let Some(root) = owner(&places.root)?.filter(|_| places.root.is_dir()) else { return Ok(Rights::Own) };
    if places.root.is_symlink() {
        bail!("{} was a directory a moment ago, and is a link: look who has made it", places.root.display());
    }
    let mut parts = Vec::new();
    for part in places.data().into_iter().chain([places.run.clone()]).filter(|part| part.starts_with(&places.root)) {
        parts.extend(owner(&part)?.map(|owner| (part, owner.uid)));
    }
    decide(own, &places.root, root, &parts)
}

/// Whose it is, not what a link leads to; nothing if it is not there.
fn owner(path: &Path) -> anyhow::Result<Option<Owner>> {
    match std::fs::symlink_metadata(path) {
        Ok(found) => Ok(Some(Owner { uid: found.uid(), gid: found.gid(), mode: found.mode() })),
        Err(error) if matches!(error.kind(), ErrorKind::NotFound | ErrorKind::NotADirectory) => Ok(None),
        Err(error) => Err(error).at("look at", path).map_err(Into::into),
    }
}

/// `parts` are those of the root's that are a cluster's, with their owners.
fn decide(own: u32, path: &Path, root: Owner, parts: &[(PathBuf, u32)]) -> anyhow::Result<Rights> {
    const ROOT: u32 = 0;
    let of_others = |owner: u32| parts.iter().find(|(_, other)| *other != owner);
    let root_path = path.display();
    if own != ROOT {
        // The kernel sees to it.
        return Ok(Rights::Own);
    }
    if root.uid != ROOT {
        return match of_others(root.uid) {
            None => Ok(Rights::Of(root.uid, root.gid)),
            Some((part, other)) => bail!(
                "{} belongs to user {other}, and what it is in to user {}: give all of it to one of them \
                 (`chown -R 0 {root_path}`)",
                part.display(),
                root.uid
            ),
        };
    }
    // A group of root's own has nobody else in it.
    let writers = if root.gid == ROOT { 0o002 } else { 0o022 };
    if root.mode & writers != 0 {
        bail!(
            "others than root can write in {root_path}, and could lead root to any file of this machine: \
             `chmod go-w {root_path}`, or name another directory with --root"
        );
    }
    if let Some((part, other)) = of_others(ROOT) {
        bail!(
            "{} belongs to user {other}, and not to root: look at it, and then `chown -R 0 {root_path}`",
            part.display()
        );
    }
    Ok(Rights::Own)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(own: u32, root: (u32, u32, u32), parts: &[u32], want: Result<Rights, &str>) {
        let (uid, gid, mode) = root;
        let parts: Vec<(PathBuf, u32)> = parts.iter().map(|owner| (PathBuf::from("/r/run"), *owner)).collect();
        match (decide(own, Path::new("/r"), Owner { uid, gid, mode }, &parts), want) {
            (Ok(got), Ok(want)) => assert_eq!(got, want),
            (Err(error), Err(want)) => assert!(error.to_string().contains(want), "{error}"),
            (got, want) => panic!("{got:?} in place of {want:?}"),
        }
    }

    /// Root's `delete` of a user's control plane followed the links that the user had put there, and wrote where they led.
    #[test]
    fn root_works_where_nobody_else_can_write() {
        check(0, (0, 0, 0o755), &[0, 0], Ok(Rights::Own));
        check(0, (0, 0, 0o775), &[], Ok(Rights::Own));
        check(0, (0, 50, 0o775), &[], Err("chmod go-w /r"));
        check(0, (0, 0, 0o1777), &[], Err("chmod go-w /r"));
        // Put there before the directory was given to root.
        check(0, (0, 0, 0o755), &[0, 1_000], Err("/r/run belongs to user 1000"));
        check(0, (1_000, 100, 0o755), &[1_000], Ok(Rights::Of(1_000, 100)));
        check(0, (1_000, 100, 0o755), &[1_000, 0], Err("give all of it to one of them"));
        check(1_000, (1_000, 100, 0o777), &[0], Ok(Rights::Own));
        check(1_000, (0, 0, 0o755), &[], Ok(Rights::Own));
    }
}

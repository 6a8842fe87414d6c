//! A way down into a tree of directories that has no end: containers nest as deep as they like.
//!
//! A walk that calls itself, or keeps open what it comes through, exhausts the stack or the descriptors on such a tree, and
//! paths end at 4,096 bytes. Here one directory is open, and the way back is `..`.

use std::{ffi::OsStr, io, os::fd::OwnedFd, path::Path};

use rustix::{
    fs::{AtFlags, CWD, Dir, Mode, OFlags, ResolveFlags, Stat},
    io::Errno,
};

const DIRECTORY: OFlags = OFlags::DIRECTORY.union(OFlags::NOFOLLOW).union(OFlags::RDONLY).union(OFlags::CLOEXEC);

/// Where a walk is: in a directory of one mount. Links and mounts below its top are not entered.
#[derive(Debug)]
pub struct Descent {
    here: OwnedFd,
    /// The numbers of the directories from the top down to the one that is open.
    inodes: Vec<u64>,
}

impl Descent {
    /// Begins at `path`. Nothing if it is not there, or no directory.
    ///
    /// Errors: it cannot be read.
    pub fn at(path: &Path) -> io::Result<Option<Self>> {
        let opened = found(rustix::fs::openat(CWD, path, DIRECTORY, Mode::empty()))?;
        opened.map(Self::new).transpose()
    }

    /// Begins at an open directory.
    pub(super) fn new(here: OwnedFd) -> io::Result<Self> {
        let inode = rustix::fs::fstat(&here)?.st_ino;
        Ok(Self { here, inodes: vec![inode] })
    }

    /// The directory that is open.
    #[must_use]
    pub fn here(&self) -> &OwnedFd {
        &self.here
    }

    /// Whether this is where it began.
    #[must_use]
    pub fn is_at_top(&self) -> bool {
        self.inodes.len() == 1
    }

    /// Calls `visit` for each entry of the directory that is open, with what it is itself, not what a link leads to.
    ///
    /// Errors: those of `visit`, and of reading the directory.
    pub fn for_each(&self, mut visit: impl FnMut(&OsStr, &Stat) -> io::Result<()>) -> io::Result<()> {
        use std::os::unix::ffi::OsStrExt as _;
        for entry in Dir::read_from(&self.here)? {
            let entry = entry?;
            let name = OsStr::from_bytes(entry.file_name().to_bytes());
            if name == "." || name == ".." {
                continue;
            }
            if let Some(stat) = found(rustix::fs::statat(&self.here, name, AtFlags::SYMLINK_NOFOLLOW))? {
                visit(name, &stat)?;
            }
        }
        Ok(())
    }

    /// Enters a directory; false if it is gone, or no directory any more.
    ///
    /// Errors: something is mounted there, or it cannot be read.
    pub fn down(&mut self, name: &OsStr) -> io::Result<bool> {
        let resolve = ResolveFlags::NO_XDEV | ResolveFlags::NO_SYMLINKS;
        let opened = rustix::fs::openat2(&self.here, name, DIRECTORY, Mode::empty(), resolve);
        let Some(below) = found(opened)? else { return Ok(false) };
        self.inodes.push(rustix::fs::fstat(&below)?.st_ino);
        self.here = below;
        Ok(true)
    }

    /// Goes back by one; false if the directory was moved meanwhile, so that its `..` is not where the walk came from. The
    /// walk is of no use then.
    ///
    /// Errors: the directory above cannot be read.
    pub fn up(&mut self) -> io::Result<bool> {
        self.inodes.pop();
        self.here = rustix::fs::openat(&self.here, "..", DIRECTORY, Mode::empty())?;
        let inode = rustix::fs::fstat(&self.here)?.st_ino;
        Ok(self.inodes.last() == Some(&inode))
    }
}

/// Nothing for what is gone, or no directory any more.
pub(super) fn found<T>(result: rustix::io::Result<T>) -> io::Result<Option<T>> {
    match result {
        Err(Errno::NOENT | Errno::NOTDIR | Errno::LOOP) => Ok(None),
        other => Ok(Some(other?)),
    }
}

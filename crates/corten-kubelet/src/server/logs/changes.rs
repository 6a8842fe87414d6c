//! Hears of changes to one log file: that it has grown, and that another took its name.

use std::{
    ffi::{OsStr, OsString},
    io,
    os::{fd::OwnedFd, unix::ffi::OsStrExt as _},
    path::Path,
};

use nix::sys::inotify::{AddWatchFlags, InitFlags, Inotify};
use tokio::{io::AsyncReadExt as _, net::unix::pipe};

/// Room for several events: each has 16 bytes and a file's name.
const BUFFER_BYTES: usize = 4 << 10;

/// The parts of an event in front of its name: watch, mask, cookie, length of the name; 32 bits each.
const HEAD_BYTES: usize = 16;

/// A watch on the directory of a log file.
pub(super) struct Changes {
    /// The queue of events, which is read like a pipe: the runtime's own type for that needs no unsafe code.
    events: pipe::Receiver,
    name: OsString,
}

/// What has happened to the file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Change {
    /// It was written to.
    Written,
    /// Its name has another file now.
    Replaced,
}

impl Changes {
    /// Hears of what happens to `path` from now on.
    ///
    /// Errors: the system's: no such directory, too many watches.
    pub(super) fn of(path: &Path) -> io::Result<Self> {
        let invalid = || io::Error::from(io::ErrorKind::InvalidInput);
        let directory = path.parent().ok_or_else(invalid)?.canonicalize()?;
        let name = path.file_name().ok_or_else(invalid)?.to_owned();
        let inotify = Inotify::init(InitFlags::IN_NONBLOCK | InitFlags::IN_CLOEXEC)?;
        let wanted = AddWatchFlags::IN_MODIFY | AddWatchFlags::IN_CREATE | AddWatchFlags::IN_MOVED_TO;
        inotify.add_watch(&directory, wanted)?;
        Ok(Self { events: pipe::Receiver::from_owned_fd_unchecked(OwnedFd::from(inotify))?, name })
    }

    /// The next change. Cancel-safe.
    pub(super) async fn next(&mut self) -> io::Result<Change> {
        let mut buffer = [0; BUFFER_BYTES];
        loop {
            let length = self.events.read(&mut buffer).await?;
            if length == 0 {
                return Err(io::ErrorKind::UnexpectedEof.into());
            }
            if let Some(change) = parse(&buffer[..length], &self.name) {
                return Ok(change);
            }
        }
    }
}

/// What a batch of events says about the file `name`; the kernel gives whole events only.
fn parse(mut events: &[u8], name: &OsStr) -> Option<Change> {
    let mut found = None;
    while let Some((head, rest)) = events.split_first_chunk::<HEAD_BYTES>() {
        let number = |at: usize| u32::from_ne_bytes([head[at], head[at + 1], head[at + 2], head[at + 3]]);
        let mask = AddWatchFlags::from_bits_retain(number(4));
        let (padded, rest) = rest.split_at_checked(number(12) as usize)?;
        events = rest;
        let of = padded.split(|byte| *byte == 0).next().unwrap_or_default();
        // An overflow names no file: anything may have happened.
        if !of.is_empty() && OsStr::from_bytes(of) != name {
            continue;
        }
        let replaced = AddWatchFlags::IN_CREATE | AddWatchFlags::IN_MOVED_TO | AddWatchFlags::IN_Q_OVERFLOW;
        if mask.intersects(replaced) {
            return Some(Change::Replaced);
        }
        found = Some(Change::Written);
    }
    found
}

#[cfg(test)]
mod tests {
    use std::{fs, io::Write as _};

    use super::*;

    #[tokio::test]
    async fn growth_and_replacement_of_one_file_are_heard() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("0.log");
        let mut file = fs::File::create(&path).unwrap();
        let mut changes = Changes::of(&path).unwrap();
        fs::write(directory.path().join("other.log"), "x").unwrap();
        file.write_all(b"x").unwrap();
        assert_eq!(changes.next().await.unwrap(), Change::Written);
        fs::rename(&path, directory.path().join("0.log.old")).unwrap();
        fs::File::create(&path).unwrap();
        assert_eq!(changes.next().await.unwrap(), Change::Replaced);
    }
}

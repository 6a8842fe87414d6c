//! Hears of changes to one log file: that it has grown, and that another took its name.

use std::{
    ffi::{OsStr, OsString},
    io,
    path::Path,
};

use nix::sys::inotify::{AddWatchFlags, InitFlags, Inotify};
use tokio::io::unix::AsyncFd;

/// A watch on the directory of a log file.
pub(super) struct Changes {
    inotify: AsyncFd<Inotify>,
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
        Ok(Self { inotify: AsyncFd::new(inotify)?, name })
    }

    /// The next change. Cancel-safe.
    pub(super) async fn next(&self) -> io::Result<Change> {
        loop {
            let mut ready = self.inotify.readable().await?;
            match self.inotify.get_ref().read_events() {
                Ok(events) => {
                    let ours = events.iter().filter(|event| {
                        // An overflow names no file: anything may have happened.
                        event.name.as_deref().is_none_or(|name: &OsStr| name == self.name)
                    });
                    let replaced = AddWatchFlags::IN_CREATE | AddWatchFlags::IN_MOVED_TO | AddWatchFlags::IN_Q_OVERFLOW;
                    let change = ours
                        .map(|event| if event.mask.intersects(replaced) { Change::Replaced } else { Change::Written })
                        .reduce(|all, one| if all == Change::Replaced { all } else { one });
                    if let Some(change) = change {
                        return Ok(change);
                    }
                }
                Err(nix::errno::Errno::EAGAIN) => ready.clear_ready(),
                Err(error) => return Err(error.into()),
            }
        }
    }
}

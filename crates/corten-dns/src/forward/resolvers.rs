//! The node's resolvers, from its `resolv.conf`: read at start and whenever the file changes.

use std::{
    ffi::{OsStr, OsString},
    net::{IpAddr, SocketAddr},
    os::fd::{AsFd, AsRawFd, BorrowedFd, RawFd},
    path::{Path, PathBuf},
    sync::Arc,
};

use corten_base::{ErrorChain, Shutdown, fs};
use nix::sys::inotify::{AddWatchFlags, InitFlags, Inotify};
use tokio::io::unix::AsyncFd;
use tracing::{info, warn};

use super::Forwarder;

const DNS_PORT: u16 = 53;

/// The resolvers that the text of a `resolv.conf` names. Lines that name no address are passed over.
#[must_use]
pub fn parse(text: &str) -> Vec<SocketAddr> {
    text.lines()
        .filter_map(|line| {
            let mut words = line.split_whitespace();
            (words.next()? == "nameserver").then_some(())?;
            Some(SocketAddr::new(words.next()?.parse::<IpAddr>().ok()?, DNS_PORT))
        })
        .collect()
}

/// Reads the file into `forwarder`. A file that cannot be read leaves the resolvers as they are.
pub fn load(path: &Path, forwarder: &Forwarder) {
    match fs::read_to_string(path) {
        Ok(text) => {
            let resolvers = parse(&text);
            if *forwarder.resolvers() != *resolvers {
                forwarder.set_resolvers(&resolvers);
                info!(file = %path.display(), resolvers = ?forwarder.resolvers(), "Read resolvers");
            }
        }
        Err(error) => warn!(err = %ErrorChain(&error), "Could not read resolvers"),
    }
}

/// A watch on a file by its name, so that it notices replacement as well as change.
#[derive(Debug)]
pub struct FileWatch {
    inotify: AsyncFd<Descriptor>,
    path: PathBuf,
    names: Vec<OsString>,
}

impl FileWatch {
    /// Watches `path`, and the file it points to when it is a symbolic link.
    ///
    /// Must be called within a tokio runtime. Errors: the directory does not exist, or the node is out of watches.
    pub fn new(path: &Path) -> std::io::Result<Self> {
        let inotify = Inotify::init(InitFlags::IN_NONBLOCK | InitFlags::IN_CLOEXEC)?;
        let target = path.canonicalize().ok();
        let mut names = Vec::new();
        for file in [Some(path), target.as_deref()].into_iter().flatten() {
            let flags = AddWatchFlags::IN_CLOSE_WRITE
                | AddWatchFlags::IN_MOVED_TO
                | AddWatchFlags::IN_CREATE
                | AddWatchFlags::IN_DELETE;
            let directory = file.parent().filter(|d| !d.as_os_str().is_empty()).unwrap_or(Path::new("."));
            inotify.add_watch(directory, flags)?;
            names.extend(file.file_name().map(OsStr::to_owned));
        }
        #[expect(
            deprecated,
            reason = "its successor asks for unsafe code; the descriptor is owned by the wrapper and never replaced, which is what it asks for"
        )]
        let inotify = AsyncFd::new(Descriptor(inotify))?;
        Ok(Self { inotify, path: path.to_owned(), names })
    }

    /// Completes when the file may have changed. Cancel-safe.
    pub async fn changed(&self) -> std::io::Result<()> {
        loop {
            let mut ready = self.inotify.readable().await?;
            let Ok(events) = ready.try_io(|inotify| Ok(inotify.get_ref().0.read_events()?)) else { continue };
            // An event without a name says that events were lost.
            let ours = |name: Option<&OsString>| name.is_none_or(|name| self.names.contains(name));
            if events?.iter().any(|event| ours(event.name.as_ref())) {
                return Ok(());
            }
        }
    }
}

/// What tokio wants to see of a descriptor.
#[derive(Debug)]
struct Descriptor(Inotify);

impl AsRawFd for Descriptor {
    fn as_raw_fd(&self) -> RawFd {
        self.0.as_fd().as_raw_fd()
    }
}

impl AsFd for Descriptor {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.0.as_fd()
    }
}

/// Keeps the forwarder's resolvers what the file says.
pub async fn follow(watch: FileWatch, forwarder: Arc<Forwarder>, shutdown: Shutdown) {
    let mut watch = watch;
    loop {
        tokio::select! {
            biased;
            () = shutdown.requested() => return,
            changed = watch.changed() => {
                if let Err(error) = changed {
                    warn!(err = %ErrorChain(&error), "Could not watch resolvers");
                    return;
                }
            }
        }
        // A link may point somewhere else now.
        match FileWatch::new(&watch.path) {
            Ok(renewed) => watch = renewed,
            Err(error) => warn!(err = %ErrorChain(&error), "Could not renew watch of resolvers"),
        }
        load(&watch.path, &forwarder);
    }
}

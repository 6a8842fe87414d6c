//! The listening socket: takes the place of a dead server's, refuses a living one's, and goes when it is dropped.

use std::{
    fs, io,
    os::unix::{fs::PermissionsExt as _, net::UnixStream as StdUnixStream},
    path::{Path, PathBuf},
};

use corten_base::fs::{Context as _, FsError};
use tokio::net::UnixListener;

/// A listener that owns its file.
pub(super) struct Socket {
    pub(super) listener: UnixListener,
    path: PathBuf,
}

impl Socket {
    pub(super) fn bind(path: &Path) -> Result<Self, FsError> {
        match StdUnixStream::connect(path) {
            Ok(_) => Err(io::Error::from(io::ErrorKind::AddrInUse)).at("listen on", path),
            Err(error) if error.kind() == io::ErrorKind::ConnectionRefused => {
                corten_base::fs::remove_file(path)?;
                Self::listen(path)
            }
            Err(error) if error.kind() == io::ErrorKind::NotFound => Self::listen(path),
            Err(error) => Err(error).at("probe", path),
        }
    }

    fn listen(path: &Path) -> Result<Self, FsError> {
        if let Some(directory) = path.parent() {
            corten_base::fs::create_dir_all(directory)?;
        }
        let listener = UnixListener::bind(path).at("listen on", path)?;
        let socket = Self { listener, path: path.to_owned() };
        // Whoever can connect is root on this node.
        fs::set_permissions(path, fs::Permissions::from_mode(0o600)).at("set mode of", path)?;
        Ok(socket)
    }
}

impl Drop for Socket {
    fn drop(&mut self) {
        // A file that stays is recognised as dead by the next server.
        let _ = corten_base::fs::remove_file(&self.path);
    }
}

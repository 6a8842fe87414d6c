//! One process per store: a file with an advisory lock, which the kernel gives back however the process ends.

use std::{
    fs::{File, OpenOptions, TryLockError},
    io::{Read as _, Seek as _, Write as _},
    path::Path,
};

use corten_base::fs::Context as _;

use crate::{error::OpenError, format::LOCK_FILE};

/// Holds the store until it is dropped.
#[derive(Debug)]
pub(crate) struct StoreLock {
    _file: File,
}

impl StoreLock {
    /// Takes the store in `directory`, without waiting.
    pub(crate) fn take(directory: &Path) -> Result<Self, OpenError> {
        let path = directory.join(LOCK_FILE);
        let mut file =
            OpenOptions::new().read(true).write(true).create(true).truncate(false).open(&path).at("open", &path)?;
        match file.try_lock() {
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => {
                let mut pid = String::new();
                file.read_to_string(&mut pid).at("read", &path)?;
                let pid = if pid.trim().is_empty() { "unknown".to_owned() } else { pid.trim().to_owned() };
                return Err(OpenError::InUse { directory: directory.to_owned(), pid });
            }
            Err(TryLockError::Error(error)) => return Err(Err::<(), _>(error).at("lock", &path).unwrap_err().into()),
        }
        // The file stays when the process ends, so what an earlier one wrote is replaced.
        file.set_len(0).at("truncate", &path)?;
        file.rewind().at("rewind", &path)?;
        writeln!(file, "{}", std::process::id()).at("write", &path)?;
        Ok(Self { _file: file })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_second_holder_is_told_who_has_the_store() {
        let directory = tempfile::tempdir().unwrap();
        let lock = StoreLock::take(directory.path()).unwrap();
        let text = StoreLock::take(directory.path()).unwrap_err().to_string();
        assert!(text.contains(&format!("in use by process {}: stop", std::process::id())), "{text}");
        drop(lock);
        StoreLock::take(directory.path()).unwrap();
    }
}

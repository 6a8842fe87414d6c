//! Space set aside: deletions write, too, so a full disk could not be emptied without a file to give up first.

use std::{
    fs::{self, OpenOptions},
    io::{self, Write as _},
    path::{Path, PathBuf},
};

use corten_base::fs::{Context as _, FsError};
use rustix::fs::{FallocateFlags, fallocate, statvfs};

use crate::format::BALLAST_FILE;

/// The ballast file of a store.
#[derive(Debug)]
pub(crate) struct Ballast {
    path: PathBuf,
    size_bytes: u64,
}

impl Ballast {
    /// The ballast of the store in `directory`; nothing is done yet.
    pub(crate) fn new(directory: &Path, size_bytes: u64) -> Self {
        Self { path: directory.join(BALLAST_FILE), size_bytes }
    }

    /// Sets the space aside if there is enough of it. False: there is not, and no value should be taken.
    ///
    /// Errors: anything but a full disk.
    pub(crate) fn restore(&self) -> Result<bool, FsError> {
        if self.size_bytes == 0 {
            return Ok(self.free_bytes()? > 0);
        }
        match fs::metadata(&self.path) {
            Ok(file) if file.len() == self.size_bytes => return Ok(true),
            Ok(_) => {}
            Err(error) if error.kind() == io::ErrorKind::NotFound => {}
            Err(error) => return Err(error).at("stat", &self.path),
        }
        if self.free_bytes()? < self.needed_bytes() {
            return Ok(false);
        }
        match self.write() {
            Ok(()) => Ok(true),
            Err(error) if error.kind() == io::ErrorKind::StorageFull => {
                self.release()?;
                Ok(false)
            }
            Err(error) => Err(error).at("write", &self.path),
        }
    }

    /// Gives the space up. Whether there was any to give.
    pub(crate) fn release(&self) -> Result<bool, FsError> {
        match fs::remove_file(&self.path) {
            Ok(()) => Ok(true),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(false),
            Err(error) => Err(error).at("remove", &self.path),
        }
    }

    /// What is free on the disk of the store, in bytes.
    pub(crate) fn free_bytes(&self) -> Result<u64, FsError> {
        let directory = self.path.parent().expect("the ballast lies in the directory of the store");
        let disk = statvfs(directory).map_err(io::Error::from).at("stat file system of", directory)?;
        Ok(disk.f_bavail.saturating_mul(disk.f_frsize))
    }

    /// What must be free to set the ballast aside and still write: a quarter more, so that it is not given up at once.
    pub(crate) fn needed_bytes(&self) -> u64 {
        self.size_bytes + self.size_bytes / 4
    }

    fn write(&self) -> io::Result<()> {
        let mut file = OpenOptions::new().write(true).create(true).truncate(true).open(&self.path)?;
        match fallocate(&file, FallocateFlags::empty(), 0, self.size_bytes) {
            Ok(()) => {}
            Err(rustix::io::Errno::OPNOTSUPP) => {
                let zeros = vec![0; 1 << 20];
                let mut left = self.size_bytes;
                while left > 0 {
                    let length = left.min(zeros.len() as u64);
                    file.write_all(&zeros[..length as usize])?;
                    left -= length;
                }
            }
            Err(error) => return Err(error.into()),
        }
        file.sync_all()
    }
}

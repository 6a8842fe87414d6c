//! Unpacked layers: one directory per chain id, each an overlayfs lower on top of its parent.
//!
//! A layer is unpacked once, into `snapshots/<chain id>/fs`, through an overlay of the layers below it, so that the kernel
//! itself writes whiteouts and copies directories up. It appears under its name only when all of it is on disk.

use std::{
    io::{self, BufRead, BufReader, Read},
    path::{Path, PathBuf},
};

use corten_base::fs::{self, Context as _};
use parking_lot::Mutex;
use rustix::{
    fs::{Mode, OFlags},
    mount::{FsMountFlags, FsOpenFlags, MountAttrFlags, MoveMountFlags, UnmountFlags},
};

use super::{Digest, ImageError, digest::HashingReader, unpack};

/// A decompressor's window; zstd's default for streams is 8 MiB, 128 MiB is what its command line accepts at most.
const ZSTD_WINDOW_LOG_MAX: u32 = 27;

/// The unpacked layers below one directory. All calls block.
#[derive(Debug)]
pub struct Snapshots {
    directory: PathBuf,
    /// One unpacks at a time: two images that come together mostly share layers.
    unpacking: Mutex<()>,
}

impl Snapshots {
    /// Opens the snapshots in `directory`; what an earlier process did not complete is removed.
    pub fn open(directory: PathBuf) -> Result<Self, ImageError> {
        // Layers bring set-user-id files.
        fs::create_private_dir(&directory)?;
        let snapshots = Self { directory, unpacking: Mutex::new(()) };
        snapshots.discard(&snapshots.staging())?;
        Ok(snapshots)
    }

    fn staging(&self) -> PathBuf {
        self.directory.join("staging")
    }

    fn discard(&self, staging: &Path) -> Result<(), ImageError> {
        // A crash leaves it mounted; not mounted or not there is the usual case.
        unmount(&staging.join("merged"))?;
        Ok(fs::remove_dir_all(staging)?)
    }

    /// The root of a chain's last layer.
    #[must_use]
    pub fn layer(&self, chain: &Digest) -> PathBuf {
        self.directory.join(chain.hex()).join("fs")
    }

    /// Whether the chain's last layer is unpacked.
    #[must_use]
    pub fn contains(&self, chain: &Digest) -> bool {
        self.layer(chain).is_dir()
    }

    /// The overlay's lower directories of a chain, the top one first.
    #[must_use]
    pub fn lowers(&self, chain: &[Digest]) -> Vec<PathBuf> {
        chain.iter().rev().map(|id| self.layer(id)).collect()
    }

    /// Unpacks a layer on top of `below` (lowest first), unless it is there. `blob` may be plain, gzip or zstd.
    ///
    /// Errors: [`ImageError::Digest`] if the uncompressed archive is not `diff`.
    pub fn unpack(&self, below: &[Digest], chain: &Digest, diff: &Digest, blob: impl Read) -> Result<(), ImageError> {
        let _alone = self.unpacking.lock();
        if self.contains(chain) {
            return Ok(());
        }
        let staging = self.staging();
        self.discard(&staging)?;
        let (upper, merged) = (staging.join("fs"), staging.join("merged"));
        fs::create_dir_all(&upper)?;
        let done = if below.is_empty() {
            self.fill(diff, blob, &upper)
        } else {
            let work = staging.join("work");
            fs::create_dir_all(&work)?;
            fs::create_dir_all(&merged)?;
            // Nobody has to run anything in it.
            let flags = MountAttrFlags::MOUNT_ATTR_NOSUID
                | MountAttrFlags::MOUNT_ATTR_NODEV
                | MountAttrFlags::MOUNT_ATTR_NOEXEC;
            mount_overlay(&self.lowers(below), &upper, &work, &merged, flags)?;
            let filled = self.fill(diff, blob, &merged);
            unmount(&merged)?;
            fs::remove_dir_all(&work)?;
            fs::remove_dir_all(&merged)?;
            filled
        };
        if let Err(error) = done {
            self.discard(&staging)?;
            return Err(error);
        }
        let flags = OFlags::DIRECTORY | OFlags::RDONLY | OFlags::CLOEXEC;
        rustix::fs::open(&upper, flags, Mode::empty())
            .and_then(|directory| rustix::fs::syncfs(&directory))
            .map_err(io::Error::from)
            .at("sync", &upper)?;
        let place = self.directory.join(chain.hex());
        std::fs::rename(&staging, &place).at("rename to", &place)?;
        Ok(())
    }

    fn fill(&self, diff: &Digest, blob: impl Read, root: &Path) -> Result<(), ImageError> {
        let failed = |source| ImageError::Unpack { layer: diff.clone(), source };
        let mut layer = HashingReader::new(decompress(blob).map_err(failed)?);
        unpack::unpack(&mut layer, root).map_err(failed)?;
        // The end of the archive comes before the end of the stream.
        io::copy(&mut layer, &mut io::sink()).map_err(failed)?;
        let found = layer.digest();
        if found == *diff { Ok(()) } else { Err(ImageError::Digest { wanted: diff.clone(), found }) }
    }

    /// Removes the layers that `keep` does not want.
    pub fn retain(&self, keep: impl Fn(&Digest) -> bool) -> Result<(), ImageError> {
        let _alone = self.unpacking.lock();
        for entry in std::fs::read_dir(&self.directory).at("read directory", &self.directory)? {
            let entry = entry.at("read directory", &self.directory)?;
            let digest = format!("sha256:{}", entry.file_name().to_string_lossy()).parse::<Digest>();
            if digest.is_ok_and(|digest| !keep(&digest)) {
                fs::remove_dir_all(&entry.path())?;
            }
        }
        Ok(())
    }
}

/// The plain archive of a blob, whatever its media type says.
fn decompress<'r>(blob: impl Read + 'r) -> io::Result<Box<dyn Read + 'r>> {
    let mut blob = BufReader::with_capacity(64 << 10, blob);
    let magic = blob.fill_buf()?;
    if magic.starts_with(&[0x1f, 0x8b]) {
        Ok(Box::new(flate2::bufread::MultiGzDecoder::new(blob)))
    } else if magic.starts_with(&[0x28, 0xb5, 0x2f, 0xfd]) {
        let mut decoder = zstd::Decoder::with_buffer(blob)?;
        decoder.window_log_max(ZSTD_WINDOW_LOG_MAX)?;
        Ok(Box::new(decoder))
    } else {
        Ok(Box::new(blob))
    }
}

/// Mounts an overlay; `lowers` has the top one first.
///
/// By `fsconfig`, one lower at a time: the options of `mount(2)` end at a page, which 40 layers fill.
pub(crate) fn mount_overlay(
    lowers: &[PathBuf],
    upper: &Path,
    work: &Path,
    target: &Path,
    attributes: MountAttrFlags,
) -> Result<(), ImageError> {
    let mount = || -> rustix::io::Result<()> {
        let context = rustix::mount::fsopen("overlay", FsOpenFlags::FSOPEN_CLOEXEC)?;
        let context = std::os::fd::AsFd::as_fd(&context);
        for lower in lowers {
            rustix::mount::fsconfig_set_string(context, "lowerdir+", lower)?;
        }
        rustix::mount::fsconfig_set_string(context, "upperdir", upper)?;
        rustix::mount::fsconfig_set_string(context, "workdir", work)?;
        // Layers must mean the same on every kernel's default.
        for (key, value) in [("index", "off"), ("metacopy", "off"), ("redirect_dir", "off")] {
            rustix::mount::fsconfig_set_string(context, key, value)?;
        }
        rustix::mount::fsconfig_create(context)?;
        let mount = rustix::mount::fsmount(context, FsMountFlags::FSMOUNT_CLOEXEC, attributes)?;
        let flags = MoveMountFlags::MOVE_MOUNT_F_EMPTY_PATH;
        rustix::mount::move_mount(&mount, "", rustix::fs::CWD, target, flags)
    };
    mount().map_err(|errno| ImageError::Mount { target: target.display().to_string(), source: errno.into() })
}

/// Unmounts what is at `target`; nothing there is fine.
pub(crate) fn unmount(target: &Path) -> Result<(), ImageError> {
    match rustix::mount::unmount(target, UnmountFlags::DETACH | UnmountFlags::NOFOLLOW) {
        Ok(()) | Err(rustix::io::Errno::INVAL | rustix::io::Errno::NOENT) => Ok(()),
        Err(errno) => Err(io::Error::from(errno)).at("unmount", target).map_err(ImageError::from),
    }
}

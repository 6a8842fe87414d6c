//! Unpacks one layer's archive into a directory, which a malicious archive cannot leave.
//!
//! Paths are resolved with the directory as root (`openat2`, `RESOLVE_IN_ROOT`), so links of the archive lead nowhere else;
//! the last component is never followed. The directory may be an overlay of the layers below with an empty upper one: removing
//! a file there makes the kernel's own whiteout, and parents keep the owner and mode they have below.
//! Source: OCI image specification, "Image Layer Filesystem Changeset".

use std::{
    cell::Cell,
    collections::HashSet,
    ffi::OsStr,
    fs::File,
    io::{self, Read},
    os::{
        fd::{AsFd as _, AsRawFd as _, OwnedFd},
        unix::ffi::OsStrExt as _,
    },
    path::{Component, Path, PathBuf},
    rc::Rc,
};

use corten_base::fs;
use rustix::{
    fs::{AtFlags, FileType, Gid, Mode, OFlags, ResolveFlags, Timespec, Timestamps, Uid, XattrFlags},
    io::Errno,
};
use sha2::{Digest as _, Sha256};
use tar::{Archive, Entry, EntryType, Header};

const WHITEOUT: &[u8] = b".wh.";
const OPAQUE: &[u8] = b".wh..wh..opq";
/// Marks of aufs itself (`.wh..wh.plnk`, `.wh..wh.aufs`).
const AUFS: &[u8] = b".wh..wh.";
const XATTR: &str = "SCHILY.xattr.";

/// What one layer may cost: a few bytes, compressed, can ask for any amount of memory and disk, and the process that unpacks
/// is the one that serves the API.
#[derive(Debug, Clone, Copy)]
struct Limits {
    /// The headers of one entry, with long names and extended attributes, which are read into memory as a whole. The kernel
    /// takes 4 KiB of path and 64 KiB of each attribute.
    header_bytes: u64,
    /// Entries, with the directories that the archive only implies; the largest images have some 100,000. Of each a mark
    /// of 16 bytes is kept.
    entries: usize,
    /// The paths of directories, which are kept to the end; those of the largest images have some megabytes.
    path_bytes: usize,
    /// The names in the paths of all entries: the kernel looks at each of them. The largest images have a million.
    names: usize,
    /// The content of all files.
    content_bytes: u64,
}

const LIMITS: Limits = Limits {
    header_bytes: 1 << 20,
    entries: 1_000_000,
    path_bytes: 64 << 20,
    names: 32 << 20,
    content_bytes: 256 << 30,
};

/// Unpacks the archive below `root`. Errors: what the kernel refuses, a broken archive, one that is larger than any image.
pub(super) fn unpack(archive: impl Read, root: &Path) -> io::Result<()> {
    unpack_within(archive, root, LIMITS)
}

fn unpack_within(archive: impl Read, root: &Path, limits: Limits) -> io::Result<()> {
    let flags = OFlags::DIRECTORY | OFlags::CLOEXEC | OFlags::RDONLY;
    let root = rustix::fs::open(root, flags, Mode::empty())?;
    let mut unpacker = Unpacker {
        root,
        made: HashSet::new(),
        cleared: HashSet::new(),
        directories: Vec::new(),
        entries_left: limits.entries,
        path_bytes_left: limits.path_bytes,
        names_left: limits.names,
    };
    let left = Rc::new(Cell::new(limits.header_bytes));
    let mut archive = Archive::new(Metered { archive, left: Rc::clone(&left) });
    let mut entries = archive.entries()?;
    let mut content_left = limits.content_bytes;
    loop {
        left.set(limits.header_bytes);
        let Some(entry) = entries.next() else { break };
        let mut entry = entry?;
        unpacker.count_entry()?;
        // As it will be written: the holes of a sparse file count.
        content_left = content_left.checked_sub(entry.size()).ok_or_else(|| invalid("too much content"))?;
        left.set(u64::MAX);
        unpacker.entry(&mut entry)?;
        // What nobody wanted of it must not count as the next one's headers.
        io::copy(&mut entry, &mut io::sink())?;
    }
    // Last, because filling a directory changes its time.
    for (path, modified) in std::mem::take(&mut unpacker.directories).into_iter().rev() {
        match unpacker.open(&path, OFlags::DIRECTORY | OFlags::RDONLY) {
            Ok(directory) => rustix::fs::futimens(&directory, &times(modified))?,
            // A later entry took its place.
            Err(Errno::NOENT | Errno::NOTDIR) => {}
            Err(error) => return Err(error.into()),
        }
    }
    Ok(())
}

/// An archive of which only so many bytes can be read.
struct Metered<R> {
    archive: R,
    left: Rc<Cell<u64>>,
}

impl<R: Read> Read for Metered<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let left = self.left.get();
        if left == 0 && !buffer.is_empty() {
            return Err(invalid("headers that are too long"));
        }
        let room = usize::try_from(left).unwrap_or(usize::MAX).min(buffer.len());
        let length = self.archive.read(&mut buffer[..room])?;
        self.left.set(left - length as u64);
        Ok(length)
    }
}

/// Stands for a path, which may be long: the first half of its hash.
type PathMark = [u8; 16];

fn mark(path: &Path) -> PathMark {
    let hash = Sha256::digest(path.as_os_str().as_bytes());
    std::array::from_fn(|place| hash[place])
}

struct Unpacker {
    root: OwnedFd,
    /// What this layer has put there: its own whiteouts do not hide it.
    made: HashSet<PathMark>,
    /// The opaque directories, by device and inode: all that is in them now is this layer's.
    cleared: HashSet<(u64, u64)>,
    directories: Vec<(PathBuf, u64)>,
    entries_left: usize,
    path_bytes_left: usize,
    names_left: usize,
}

impl Unpacker {
    fn count_entry(&mut self) -> io::Result<()> {
        self.entries_left = self.entries_left.checked_sub(1).ok_or_else(|| invalid("too many entries"))?;
        Ok(())
    }

    fn open(&self, path: &Path, flags: OFlags) -> Result<OwnedFd, Errno> {
        let path = if path.as_os_str().is_empty() { Path::new(".") } else { path };
        let resolve = ResolveFlags::IN_ROOT | ResolveFlags::NO_MAGICLINKS;
        rustix::fs::openat2(&self.root, path, flags | OFlags::CLOEXEC, Mode::empty(), resolve)
    }

    /// The directory of an entry; made if the archive did not mention it.
    fn parent(&mut self, path: &Path) -> io::Result<OwnedFd> {
        let flags = OFlags::DIRECTORY | OFlags::RDONLY;
        match self.open(path, flags) {
            Err(Errno::NOENT) => {}
            other => return Ok(other?),
        }
        // How much of it is there is searched by halves: a path can have two thousand names, and so can the next one.
        let names: Vec<&OsStr> = path.iter().collect();
        let prefix = |length: usize| names[..length].iter().collect::<PathBuf>();
        let (mut there, mut missing) = (0, names.len());
        let mut directory = self.open(Path::new(""), flags)?;
        while there + 1 < missing {
            let middle = there.midpoint(missing);
            match self.open(&prefix(middle), flags) {
                Ok(found) => (there, directory) = (middle, found),
                Err(Errno::NOENT) => missing = middle,
                Err(error) => return Err(error.into()),
            }
        }
        for name in &names[there..] {
            rustix::fs::mkdirat(&directory, *name, Mode::from_raw_mode(0o755)).map_err(|error| match error {
                // A link that leads nowhere.
                Errno::EXIST => Errno::NOENT,
                other => other,
            })?;
            self.count_entry()?;
            let flags = flags | OFlags::NOFOLLOW | OFlags::CLOEXEC;
            directory = rustix::fs::openat(&directory, *name, flags, Mode::empty())?;
        }
        Ok(directory)
    }

    fn entry<R: Read>(&mut self, entry: &mut Entry<'_, R>) -> io::Result<()> {
        let path = inside(&entry.path_bytes())?;
        let left = self.names_left.checked_sub(path.iter().count());
        self.names_left = left.ok_or_else(|| invalid("too many deep paths"))?;
        let kind = entry.header().entry_type();
        let Some(name) = path.file_name().map(OsStr::to_owned) else {
            // The root itself: its mode and owner count.
            let root = self.open(Path::new(""), OFlags::DIRECTORY | OFlags::RDONLY)?;
            return attributes(entry, &root);
        };
        let parent_path = path.parent().unwrap_or(Path::new("")).to_owned();
        let parent = self.parent(&parent_path)?;
        if self.hide(&name, &parent_path, &parent)? {
            return Ok(());
        }
        let existing = match rustix::fs::statat(&parent, &name, AtFlags::SYMLINK_NOFOLLOW) {
            Ok(stat) => Some(FileType::from_raw_mode(stat.st_mode)),
            Err(Errno::NOENT) => None,
            Err(error) => return Err(error.into()),
        };
        let stays = kind == EntryType::Directory && existing == Some(FileType::Directory);
        if existing.is_some() && !stays {
            fs::remove_at(&parent, &name)?;
        }
        if self.make(entry, &path, &parent, &name, stays)? {
            self.made.insert(mark(&path));
        }
        Ok(())
    }

    /// Whether `name` is no file but says what of the layers below is hidden; then it is.
    fn hide(&mut self, name: &OsStr, parent_path: &Path, parent: &OwnedFd) -> io::Result<bool> {
        let bytes = name.as_bytes();
        if bytes == OPAQUE {
            self.clear(parent_path, parent)?;
            return Ok(true);
        }
        if bytes.starts_with(AUFS) {
            return Ok(true);
        }
        let Some(hidden) = bytes.strip_prefix(WHITEOUT).map(OsStr::from_bytes) else { return Ok(false) };
        let is_name = !hidden.is_empty() && hidden != "." && hidden != "..";
        if is_name && !self.made.contains(&mark(&parent_path.join(hidden))) {
            fs::remove_at(parent, hidden)?;
        }
        Ok(true)
    }

    /// Makes the file, or keeps the directory that `stays`. Says whether there is one: not all entries are files.
    fn make<R: Read>(
        &mut self,
        entry: &mut Entry<'_, R>,
        path: &Path,
        parent: &OwnedFd,
        name: &OsStr,
        stays: bool,
    ) -> io::Result<bool> {
        let kind = entry.header().entry_type();
        match kind {
            EntryType::Directory => {
                if !stays {
                    rustix::fs::mkdirat(parent, name, Mode::from_raw_mode(0o700))?;
                }
                let flags = OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::RDONLY | OFlags::CLOEXEC;
                let directory = rustix::fs::openat(parent, name, flags, Mode::empty())?;
                attributes(entry, &directory)?;
                let left = self.path_bytes_left.checked_sub(path.as_os_str().len());
                self.path_bytes_left = left.ok_or_else(|| invalid("too many long paths"))?;
                self.directories.push((path.to_owned(), modified(entry.header())?));
            }
            EntryType::Regular | EntryType::Continuous | EntryType::GNUSparse => {
                let flags = OFlags::CREATE | OFlags::EXCL | OFlags::NOFOLLOW | OFlags::WRONLY | OFlags::CLOEXEC;
                let mut file = File::from(rustix::fs::openat(parent, name, flags, Mode::from_raw_mode(0o600))?);
                io::copy(entry, &mut file)?;
                let file = OwnedFd::from(file);
                attributes(entry, &file)?;
                rustix::fs::futimens(&file, &times(modified(entry.header())?))?;
            }
            EntryType::Link => {
                let target = entry.link_name_bytes().ok_or_else(|| invalid("a hard link without a target"))?;
                let target = inside(&target)?;
                let target_name = target.file_name().ok_or_else(|| invalid("a hard link to the root"))?;
                let directory = self.parent(target.parent().unwrap_or(Path::new("")))?;
                rustix::fs::linkat(&directory, target_name, parent, name, AtFlags::empty())?;
            }
            EntryType::Symlink => {
                let target = entry.link_name_bytes().ok_or_else(|| invalid("a symbolic link without a target"))?;
                rustix::fs::symlinkat(OsStr::from_bytes(&target), parent, name)?;
                special_attributes(entry, parent, name)?;
            }
            EntryType::Char | EntryType::Block | EntryType::Fifo => {
                let device = device(entry.header())?;
                let file_type = match kind {
                    EntryType::Char => FileType::CharacterDevice,
                    EntryType::Block => FileType::BlockDevice,
                    _ => FileType::Fifo,
                };
                // Nothing to open lies at a character device 0/0: overlayfs would take it for a whiteout.
                if kind == EntryType::Char && device == 0 {
                    return Err(invalid("a character device 0/0"));
                }
                let mode = Mode::from_raw_mode(mode(entry.header())? & 0o7777);
                rustix::fs::mknodat(parent, name, file_type, mode, device)?;
                special_attributes(entry, parent, name)?;
                rustix::fs::chmodat(parent, name, mode, AtFlags::empty())?;
            }
            // Extended headers are read by the archive; others carry nothing for a file system.
            _ => return Ok(false),
        }
        Ok(true)
    }

    /// An opaque directory: nothing of the layers below is in it.
    fn clear(&mut self, path: &Path, directory: &OwnedFd) -> io::Result<()> {
        let stat = rustix::fs::fstat(directory)?;
        if !self.cleared.insert((stat.st_dev, stat.st_ino)) {
            return Ok(());
        }
        for entry in rustix::fs::Dir::read_from(directory)? {
            let entry = entry?;
            let name = OsStr::from_bytes(entry.file_name().to_bytes());
            if name != "." && name != ".." && !self.made.contains(&mark(&path.join(name))) {
                fs::remove_at(directory, name)?;
            }
        }
        Ok(())
    }
}

/// Owner, mode and extended attributes of what is open.
fn attributes<R: Read>(entry: &mut Entry<'_, R>, file: &OwnedFd) -> io::Result<()> {
    let header = entry.header();
    let mode = Mode::from_raw_mode(mode(header)? & 0o7777);
    let (uid, gid) = owner(header)?;
    own(rustix::fs::fchown(file, Some(Uid::from_raw(uid)), Some(Gid::from_raw(gid))), uid, gid)?;
    // After the owner: a change of owner takes set-user-id bits away, and capabilities.
    rustix::fs::fchmod(file, mode)?;
    for (name, value) in extended_attributes(entry)? {
        rustix::fs::fsetxattr(file, &*name, &value, XattrFlags::empty())?;
    }
    Ok(())
}

/// Owner, time and extended attributes of what cannot be opened.
fn special_attributes<R: Read>(entry: &mut Entry<'_, R>, parent: &OwnedFd, name: &OsStr) -> io::Result<()> {
    let (uid, gid) = owner(entry.header())?;
    let flags = AtFlags::SYMLINK_NOFOLLOW;
    own(rustix::fs::chownat(parent, name, Some(Uid::from_raw(uid)), Some(Gid::from_raw(gid)), flags), uid, gid)?;
    rustix::fs::utimensat(parent, name, &times(modified(entry.header())?), flags)?;
    let path = PathBuf::from(format!("/proc/self/fd/{}", parent.as_fd().as_raw_fd())).join(name);
    for (attribute, value) in extended_attributes(entry)? {
        rustix::fs::lsetxattr(&path, &*attribute, &value, XattrFlags::empty())?;
    }
    Ok(())
}

/// Without root, files stay the caller's; that is for tests, a node runs as root.
fn own(result: Result<(), Errno>, uid: u32, gid: u32) -> io::Result<()> {
    match result {
        Err(Errno::PERM) if !rustix::process::geteuid().is_root() && (uid, gid) != (u32::MAX, u32::MAX) => Ok(()),
        other => Ok(other?),
    }
}

fn extended_attributes<R: Read>(entry: &mut Entry<'_, R>) -> io::Result<Vec<(String, Vec<u8>)>> {
    let Some(extensions) = entry.pax_extensions()? else { return Ok(Vec::new()) };
    let mut found = Vec::new();
    for extension in extensions {
        let extension = extension?;
        let name = extension.key().ok().and_then(|key| key.strip_prefix(XATTR));
        // `trusted.overlay.*` would steer the mount of the layers.
        if let Some(name) = name.filter(|name| !name.starts_with("trusted.overlay.")) {
            found.push((name.to_owned(), extension.value_bytes().to_owned()));
        }
    }
    Ok(found)
}

/// A path of the archive relative to its root.
fn inside(bytes: &[u8]) -> io::Result<PathBuf> {
    let mut path = PathBuf::new();
    for component in Path::new(OsStr::from_bytes(bytes)).components() {
        match component {
            Component::Normal(name) => path.push(name),
            Component::CurDir | Component::RootDir => {}
            Component::ParentDir | Component::Prefix(_) => return Err(invalid("a path that leads out of the layer")),
        }
    }
    Ok(path)
}

/// A number of a header. Some writers leave fields empty that they mean to be zero.
fn field<T: Default>(field: &[u8], read: io::Result<T>) -> io::Result<T> {
    if field.iter().all(|byte| matches!(byte, 0 | b' ')) { Ok(T::default()) } else { read }
}

fn owner(header: &Header) -> io::Result<(u32, u32)> {
    let old = header.as_old();
    Ok((number(field(&old.uid, header.uid())?)?, number(field(&old.gid, header.gid())?)?))
}

fn mode(header: &Header) -> io::Result<u32> {
    field(&header.as_old().mode, header.mode())
}

fn modified(header: &Header) -> io::Result<u64> {
    field(&header.as_old().mtime, header.mtime())
}

fn device(header: &Header) -> io::Result<u64> {
    // Both formats have these fields at one place.
    let Some(ustar) = header.as_ustar() else {
        let (major, minor) = (header.device_major()?, header.device_minor()?);
        return Ok(rustix::fs::makedev(major.unwrap_or(0), minor.unwrap_or(0)));
    };
    let major = field(&ustar.dev_major, header.device_major())?;
    let minor = field(&ustar.dev_minor, header.device_minor())?;
    Ok(rustix::fs::makedev(major.unwrap_or(0), minor.unwrap_or(0)))
}

fn number(value: u64) -> io::Result<u32> {
    u32::try_from(value).map_err(|_| invalid("an owner beyond 32 bits"))
}

fn times(seconds: u64) -> Timestamps {
    let time = Timespec { tv_sec: i64::try_from(seconds).unwrap_or(0), tv_nsec: 0 };
    Timestamps { last_access: time, last_modification: time }
}

fn invalid(what: &str) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, format!("the archive has {what}"))
}

#[cfg(test)]
mod tests;

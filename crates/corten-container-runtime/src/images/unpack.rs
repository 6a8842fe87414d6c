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
        let bytes = name.as_bytes();
        if bytes == OPAQUE {
            return self.clear(&parent_path, &parent);
        } else if bytes.starts_with(AUFS) {
            return Ok(());
        } else if let Some(hidden) = bytes.strip_prefix(WHITEOUT) {
            let hidden = OsStr::from_bytes(hidden);
            if hidden.is_empty()
                || hidden == "."
                || hidden == ".."
                || self.made.contains(&mark(&parent_path.join(hidden)))
            {
                return Ok(());
            }
            return fs::remove_at(&parent, hidden);
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
        match kind {
            EntryType::Directory => {
                if !stays {
                    rustix::fs::mkdirat(&parent, &name, Mode::from_raw_mode(0o700))?;
                }
                let flags = OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::RDONLY | OFlags::CLOEXEC;
                let directory = rustix::fs::openat(&parent, &name, flags, Mode::empty())?;
                attributes(entry, &directory)?;
                let left = self.path_bytes_left.checked_sub(path.as_os_str().len());
                self.path_bytes_left = left.ok_or_else(|| invalid("too many long paths"))?;
                self.directories.push((path.clone(), modified(entry.header())?));
            }
            EntryType::Regular | EntryType::Continuous | EntryType::GNUSparse => {
                let flags = OFlags::CREATE | OFlags::EXCL | OFlags::NOFOLLOW | OFlags::WRONLY | OFlags::CLOEXEC;
                let mut file = File::from(rustix::fs::openat(&parent, &name, flags, Mode::from_raw_mode(0o600))?);
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
                rustix::fs::linkat(&directory, target_name, &parent, &name, AtFlags::empty())?;
            }
            EntryType::Symlink => {
                let target = entry.link_name_bytes().ok_or_else(|| invalid("a symbolic link without a target"))?;
                rustix::fs::symlinkat(OsStr::from_bytes(&target), &parent, &name)?;
                special_attributes(entry, &parent, &name)?;
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
                rustix::fs::mknodat(&parent, &name, file_type, mode, device)?;
                special_attributes(entry, &parent, &name)?;
                rustix::fs::chmodat(&parent, &name, mode, AtFlags::empty())?;
            }
            // Extended headers are read by the archive; others carry nothing for a file system.
            _ => return Ok(()),
        }
        self.made.insert(mark(&path));
        Ok(())
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
mod tests {
    use super::*;

    /// An archive of entries: path, kind, link target or content.
    fn archive(entries: &[(&str, EntryType, &str)]) -> Vec<u8> {
        let mut builder = tar::Builder::new(Vec::new());
        for (path, kind, text) in entries {
            let mut header = tar::Header::new_ustar();
            // By hand: the library refuses paths that lead out.
            header.as_mut_bytes()[..path.len()].copy_from_slice(path.as_bytes());
            header.set_entry_type(*kind);
            header.set_mode(0o755);
            header.set_uid(u64::from(rustix::process::geteuid().as_raw()));
            header.set_gid(u64::from(rustix::process::getegid().as_raw()));
            header.set_mtime(1_000);
            let is_link = matches!(kind, EntryType::Link | EntryType::Symlink);
            let content = if is_link { "" } else { text };
            if is_link {
                header.as_mut_bytes()[157..157 + text.len()].copy_from_slice(text.as_bytes());
            }
            header.set_size(content.len() as u64);
            header.set_cksum();
            builder.append(&header, content.as_bytes()).unwrap();
        }
        builder.into_inner().unwrap()
    }

    use EntryType::{Directory, Link, Regular, Symlink};

    #[test]
    fn files_links_and_missing_parents_are_made() {
        let root = tempfile::tempdir().unwrap();
        let entries = [
            ("a/b/file", Regular, "text"),
            ("a/hard", Link, "a/b/file"),
            ("a/soft", Symlink, "b/file"),
            ("a/soft-dir", Symlink, "b"),
            ("a/soft-dir/through", Regular, "x"),
        ];
        unpack(&*archive(&entries), root.path()).unwrap();
        for name in ["a/hard", "a/soft"] {
            assert_eq!(std::fs::read_to_string(root.path().join(name)).unwrap(), "text", "{name}");
        }
        assert!(root.path().join("a/b/through").is_file());
    }

    #[test]
    fn a_layer_cannot_leave_its_directory() {
        let outer = tempfile::tempdir().unwrap();
        let root = outer.path().join("root");
        std::fs::create_dir(&root).unwrap();
        assert!(unpack(&*archive(&[("../out", Regular, "x")]), &root).is_err());
        assert!(unpack(&*archive(&[("hard", Link, "../../etc/passwd")]), &root).is_err());
        let way = format!("{}", outer.path().display());
        let entries = [("way", Symlink, way.as_str()), ("way/out", Regular, "x")];
        // The link is absolute: it would lead to the same path inside the layer, which is not there.
        let refused = unpack(&*archive(&entries), &root).unwrap_err();
        assert_eq!(refused.kind(), io::ErrorKind::NotFound, "{refused}");
        assert!(root.join("way").is_symlink() && !outer.path().join("out").exists());
        let entries = [("up", Symlink, "../.."), ("up/out", Regular, "x")];
        unpack(&*archive(&entries), &root).unwrap();
        assert!(root.join("out").is_file() && !outer.path().join("out").exists());
    }

    #[test]
    fn whiteouts_hide_what_was_there_but_not_what_the_layer_brings() {
        let root = tempfile::tempdir().unwrap();
        let first = [("keep", Regular, ""), ("gone/deep/file", Regular, ""), ("dir/old", Regular, "")];
        unpack(&*archive(&first), root.path()).unwrap();
        let second = [
            (".wh.gone", Regular, ""),
            ("dir/", Directory, ""),
            ("dir/new", Regular, ""),
            ("dir/.wh..wh..opq", Regular, ""),
            ("dir/.wh.new", Regular, ""),
        ];
        unpack(&*archive(&second), root.path()).unwrap();
        let there = |name: &str| root.path().join(name).exists();
        assert_eq!(["keep", "gone", "dir/old", "dir/new"].map(there), [true, false, false, true],);
    }

    /// A header of gigabytes, which compress to nothing, was read into the memory of the API server's process.
    #[test]
    fn an_archive_cannot_ask_for_any_amount_of_memory_or_disk() {
        let root = tempfile::tempdir().unwrap();
        let long = "x".repeat(20_000);
        let check = |entries: &[(&str, EntryType, &str)], limits: Limits, want: &str| {
            let error = unpack_within(&*archive(entries), root.path(), limits).unwrap_err();
            assert_eq!(error.to_string(), format!("the archive has {want}"));
        };
        let limits = Limits { header_bytes: 10_000, entries: 2, path_bytes: 10, names: 5, content_bytes: 30_000 };
        for kind in [EntryType::XHeader, EntryType::GNULongName, EntryType::GNULongLink] {
            check(&[("name", kind, &long), ("a", Regular, "")], limits, "headers that are too long");
        }
        check(&[("a", Regular, ""), ("b", Regular, ""), ("c", Regular, "")], limits, "too many entries");
        check(&[("a", Regular, &long), ("b", Regular, &long)], limits, "too much content");
        // Implied directories are as good as entries.
        check(&[("x/y/z", Regular, "")], limits, "too many entries");
        // Millions of paths of 4 KiB were kept, twice where they are directories: gigabytes.
        check(&[("directory", Directory, ""), ("another", Directory, "")], limits, "too many long paths");
        check(&[("a/b/c/d/e/f", Regular, "")], limits, "too many deep paths");
        // Neither content nor the data of unknown entries are headers.
        for kind in [Regular, EntryType::new(b'V'), Directory] {
            unpack_within(&*archive(&[("d", kind, &long), ("b", Regular, "")]), root.path(), limits).unwrap();
        }
    }

    /// Each opaque mark listed the whole directory once more.
    #[test]
    fn a_directory_is_cleared_once() {
        let root = tempfile::tempdir().unwrap();
        unpack(&*archive(&[("d/old", Regular, "")]), root.path()).unwrap();
        let names: Vec<String> = (0..2_000).map(|number| format!("d/{number}")).collect();
        let mut entries = vec![("d/.wh..wh..opq", Regular, "")];
        entries.extend(names.iter().map(|name| (name.as_str(), Regular, "")));
        entries.extend(vec![("d/.wh..wh..opq", Regular, ""); 50_000]);
        unpack(&*archive(&entries), root.path()).unwrap();
        assert_eq!(std::fs::read_dir(root.path().join("d")).unwrap().count(), 2_000);
    }

    #[test]
    fn a_file_takes_the_place_of_a_directory() {
        let root = tempfile::tempdir().unwrap();
        unpack(&*archive(&[("x/y", Regular, "")]), root.path()).unwrap();
        unpack(&*archive(&[("x", Regular, "file")]), root.path()).unwrap();
        assert!(root.path().join("x").is_file());
    }
}

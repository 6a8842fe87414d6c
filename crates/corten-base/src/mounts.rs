//! What is mounted where, as the kernel tells a process.
//!
//! Names are bytes: one directory on the machine whose name is no UTF-8 must not hide all the others.
//! Source: proc_pid_mountinfo(5).

use std::{
    ffi::OsString,
    os::unix::ffi::OsStringExt as _,
    path::{Path, PathBuf},
};

use crate::fs::{self, FsError};

/// One mount.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Mount {
    /// Where it is, seen from the root of the process.
    pub point: PathBuf,
    /// The kind of its file system: `tmpfs`, `cgroup2`.
    pub file_system: String,
    /// The options of the file system, which may have other mounts with options of their own.
    pub super_options: String,
}

/// All mounts in the namespace of this process, in the order in which they were made. Blocks.
///
/// Errors: the list cannot be read.
pub fn read() -> Result<Vec<Mount>, FsError> {
    Ok(parse(&fs::read(Path::new("/proc/self/mountinfo"))?))
}

/// The mounts in the text of a `mountinfo`, in its order. A line that is none is passed over.
#[must_use]
pub fn parse(mountinfo: &[u8]) -> Vec<Mount> {
    mountinfo.split(|byte| *byte == b'\n').filter_map(mount).collect()
}

fn mount(line: &[u8]) -> Option<Mount> {
    let mut fields = line.split(|byte| *byte == b' ').skip(4);
    let point = unescape(fields.next()?).into();
    // Optional fields, as many as there are, end with a hyphen.
    fields.find(|field| *field == b"-")?;
    let text = |field| String::from_utf8_lossy(field).into_owned();
    let (file_system, _source) = (text(fields.next()?), fields.next()?);
    Some(Mount { point, file_system, super_options: text(fields.next()?) })
}

/// The kernel writes blanks, line ends and backslashes as `\` with three octal digits.
fn unescape(field: &[u8]) -> OsString {
    let (mut bytes, mut rest) = (Vec::with_capacity(field.len()), field);
    while let Some((&first, tail)) = rest.split_first() {
        let escaped = match (first, tail.first_chunk()) {
            (b'\\', Some(digits)) => octal(digits),
            _ => None,
        };
        bytes.push(escaped.unwrap_or(first));
        rest = if escaped.is_some() { &tail[3..] } else { tail };
    }
    OsString::from_vec(bytes)
}

fn octal(digits: &[u8; 3]) -> Option<u8> {
    u8::from_str_radix(std::str::from_utf8(digits).ok()?, 8).ok()
}

#[cfg(test)]
mod tests {
    use std::{ffi::OsStr, os::unix::ffi::OsStrExt as _};

    use super::*;

    fn points(mountinfo: &[u8]) -> Vec<OsString> {
        parse(mountinfo).into_iter().map(|mount| mount.point.into()).collect()
    }

    #[test]
    fn points_are_read_as_they_are() {
        let text = b"1 2 0:3 / /a\\040b rw - tmpfs tmpfs rw\n2 1 0:4 / /c\\134040\\9 rw shared:1 - ext4 /dev/x rw\n";
        assert_eq!(points(text), ["/a b", "/c\\040\\9"]);
    }

    /// A single such mount kept everybody from reading the list.
    #[test]
    fn a_name_that_is_no_text_hides_no_other() {
        let text = b"1 2 0:3 / /a\xff rw - tmpfs tmpfs rw\n2 1 0:4 / /b rw - tmpfs tmpfs rw\n";
        assert_eq!(points(text), [OsStr::from_bytes(b"/a\xff"), OsStr::new("/b")]);
    }

    #[test]
    fn the_file_system_stands_behind_the_hyphen() {
        let text =
            b"30 25 0:26 / /sys/fs/cgroup/cpu rw,relatime shared:9 master:2 - cgroup cgroup rw,cpu\n\nno mount\n";
        let want =
            Mount { point: "/sys/fs/cgroup/cpu".into(), file_system: "cgroup".into(), super_options: "rw,cpu".into() };
        assert_eq!(parse(text), [want]);
    }

    #[test]
    fn this_process_has_mounts() {
        assert!(read().unwrap().iter().any(|mount| mount.point == Path::new("/")));
    }
}

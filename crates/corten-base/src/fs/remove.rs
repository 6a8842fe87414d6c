//! Removing a directory with all below it, however deep.

use std::{
    ffi::{OsStr, OsString},
    io,
    os::fd::AsFd,
    path::Path,
};

use rustix::{
    fs::{AtFlags, CWD},
    io::Errno,
};

use super::Descent;

/// Removes the directory, or link, at `path`; one that does not exist is fine.
pub(super) fn remove_dir_all(path: &Path) -> io::Result<()> {
    match rustix::fs::lstat(path) {
        Err(Errno::NOENT) => return Ok(()),
        Err(error) => return Err(error.into()),
        Ok(found) if rustix::fs::FileType::from_raw_mode(found.st_mode).is_symlink() => {
            return Ok(gone_is_fine(rustix::fs::unlink(path))?);
        }
        Ok(_) => {}
    }
    // What is mounted at the path itself is entered: that is the caller's choice.
    if let Some(top) = Descent::at(path)? {
        empty(top)?;
    }
    Ok(gone_is_fine(rustix::fs::unlinkat(CWD, path, AtFlags::REMOVEDIR))?)
}

/// Removes the entry `name` of `parent`, a directory with all below it; one that does not exist is fine. Links are not followed.
///
/// Errors: something is mounted there or below; somebody moves or adds what is removed; what the operating system says
/// otherwise. A part may be gone then.
pub fn remove_at(parent: impl AsFd, name: &OsStr) -> io::Result<()> {
    if is_unlinked(&parent, name)? {
        return Ok(());
    }
    let mut top = Descent::new(parent.as_fd().try_clone_to_owned()?)?;
    if top.down(name)? {
        empty(top)?;
    }
    Ok(gone_is_fine(rustix::fs::unlinkat(&parent, name, AtFlags::REMOVEDIR))?)
}

/// Removes all in the directory where `walk` is.
fn empty(mut walk: Descent) -> io::Result<()> {
    // Of each directory on the way down, those in it that are full; and the names of the way.
    let (mut full, mut way) = (vec![unlink_all(&walk)?], Vec::new());
    while let Some(left) = full.last_mut() {
        if let Some(name) = left.pop() {
            if walk.down(&name)? {
                full.push(unlink_all(&walk)?);
                way.push(name);
            }
            continue;
        }
        full.pop();
        let Some(name) = way.pop() else { break };
        if !walk.up()? {
            return Err(io::Error::other("a directory in it was moved meanwhile"));
        }
        gone_is_fine(rustix::fs::unlinkat(walk.here(), &name, AtFlags::REMOVEDIR))?;
    }
    Ok(())
}

/// Removes all but the directories that have something in them, whose names it returns.
fn unlink_all(walk: &Descent) -> io::Result<Vec<OsString>> {
    let mut full = Vec::new();
    walk.for_each(|name, _| {
        if !is_unlinked(walk.here(), name)? {
            full.push(name.to_owned());
        }
        Ok(())
    })?;
    Ok(full)
}

/// Removes a file, link or empty directory. Returns whether it is gone: not if it is a directory with something in it.
fn is_unlinked(parent: impl AsFd, name: &OsStr) -> io::Result<bool> {
    match rustix::fs::unlinkat(&parent, name, AtFlags::empty()) {
        Ok(()) | Err(Errno::NOENT) => return Ok(true),
        Err(Errno::ISDIR) => {}
        Err(error) => return Err(error.into()),
    }
    match rustix::fs::unlinkat(&parent, name, AtFlags::REMOVEDIR) {
        Ok(()) | Err(Errno::NOENT) => Ok(true),
        Err(Errno::NOTEMPTY | Errno::EXIST) => Ok(false),
        Err(error) => Err(error.into()),
    }
}

fn gone_is_fine(result: rustix::io::Result<()>) -> rustix::io::Result<()> {
    if result == Err(Errno::NOENT) { Ok(()) } else { result }
}

#[cfg(test)]
mod tests {
    use std::{fs, os::unix::fs::symlink};

    use rustix::fs::{Mode, OFlags};

    use super::*;

    #[test]
    fn files_links_and_directories_go_and_what_links_lead_to_stays() {
        let folder = tempfile::tempdir().unwrap();
        let (top, far) = (folder.path().join("top"), folder.path().join("far"));
        for directory in ["a/b/c/d", "a/e/f", "g/h"] {
            fs::create_dir_all(top.join(directory)).unwrap();
            fs::write(top.join(directory).join("file"), "").unwrap();
        }
        fs::create_dir(&far).unwrap();
        fs::write(far.join("kept"), "").unwrap();
        symlink(&far, top.join("a/b/link")).unwrap();
        remove_dir_all(&top).unwrap();
        assert!(!top.exists() && far.join("kept").exists());
        remove_dir_all(&top).unwrap();

        symlink(&far, &top).unwrap();
        remove_dir_all(&top).unwrap();
        assert!(!top.is_symlink() && far.join("kept").exists());
        assert!(remove_dir_all(&far.join("kept")).is_err(), "a file is no directory");
    }

    #[test]
    fn an_entry_goes_whatever_it_is() {
        let folder = tempfile::tempdir().unwrap();
        fs::create_dir_all(folder.path().join("full/of/things")).unwrap();
        fs::create_dir(folder.path().join("empty")).unwrap();
        fs::write(folder.path().join("file"), "").unwrap();
        let parent = fs::File::open(folder.path()).unwrap();
        for name in ["full", "empty", "file", "missing"] {
            remove_at(&parent, OsStr::new(name)).unwrap();
        }
        assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 0);
    }

    /// The standard library's removal calls itself for each level, and keeps it open: a container could end the process.
    #[test]
    fn depth_costs_neither_stack_nor_descriptors() {
        let folder = tempfile::tempdir().unwrap();
        let top = folder.path().join("top");
        fs::create_dir(&top).unwrap();
        let open = OFlags::DIRECTORY | OFlags::RDONLY;
        let mut directory = rustix::fs::openat(CWD, &top, open, Mode::empty()).unwrap();
        for _ in 0..1_500 {
            rustix::fs::mkdirat(&directory, "d", Mode::RWXU).unwrap();
            directory = rustix::fs::openat(&directory, "d", open, Mode::empty()).unwrap();
        }
        let removing = std::thread::Builder::new().stack_size(32 * 1024).spawn(move || {
            remove_dir_all(&top).unwrap();
            top.exists()
        });
        assert!(!removing.unwrap().join().unwrap());
    }
}

//! What to type to run this program again: its name where the shell finds it, its path where not, as after `cargo run`.

use std::{
    env,
    ffi::OsStr,
    path::{Path, PathBuf},
};

use crate::places::quoted;

const NAME: &str = "corten";

/// One word for a shell.
pub(crate) fn name() -> String {
    let (exe, directory) = (env::current_exe().unwrap_or_else(|_| NAME.into()), env::current_dir().unwrap_or_default());
    typed(&exe, env::var_os("PATH").as_deref(), &directory)
}

fn typed(exe: &Path, path: Option<&OsStr>, directory: &Path) -> String {
    let mut named = env::split_paths(path.unwrap_or_default()).map(|directory| directory.join(NAME));
    if named.any(|file| file.canonicalize().is_ok_and(|file| file == exe)) {
        return NAME.to_owned();
    }
    let below = exe.strip_prefix(directory).ok().filter(|below| below.components().count() > 1).map(PathBuf::from);
    quoted(&below.unwrap_or_else(|| exe.to_owned()))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What `up` said to type next was not found by who had built the program and not installed it.
    #[test]
    fn the_name_is_said_where_the_shell_finds_it() {
        let directory = tempfile::tempdir().unwrap();
        let root = directory.path().canonicalize().unwrap();
        let exe = root.join("target/release/corten");
        std::fs::create_dir_all(exe.parent().unwrap()).unwrap();
        std::fs::write(&exe, "").unwrap();
        let check = |path: &Path, from: &Path, want: &str| {
            assert_eq!(typed(&exe, Some(path.as_os_str()), from), want, "{} {}", path.display(), from.display());
        };
        check(exe.parent().unwrap(), &root, "corten");
        check(Path::new("/no-such"), &root, "target/release/corten");
        check(Path::new("/no-such"), Path::new("/no-such"), exe.to_str().unwrap());
        check(Path::new("/no-such"), exe.parent().unwrap(), exe.to_str().unwrap());
    }
}

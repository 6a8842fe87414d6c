use corten_component_base::certificates::KeyPairPem;

use super::*;

fn entry() -> Entry {
    let pair = KeyPairPem { certificate: "certificate".to_owned(), key: "key".into() };
    Entry::new("corten", std::net::SocketAddr::from(([127, 0, 0, 1], 6443)), "authority", &pair)
}

#[track_caller]
fn check(environment: &Environment<'_>, want: &str, owner: Option<(u32, u32)>) {
    let account = |uid| Ok((uid == 1000).then(|| (PathBuf::from("/home/me"), 100)));
    let found = find_in(environment, account).unwrap().unwrap();
    assert_eq!(found, UserFile { path: PathBuf::from(want), owner });
}

#[test]
fn the_file_is_the_one_that_kubectl_reads() {
    let home = Some(OsStr::new("/home/admin"));
    check(&Environment { home, ..Environment::default() }, "/home/admin/.kube/config", None);
    let kubeconfig = Some(OsStr::new(":/nowhere/a::/nowhere/b"));
    check(&Environment { home, kubeconfig, sudo_uid: None }, "/nowhere/b", None);
    let kubeconfig = Some(OsStr::new("/nowhere/a:/proc/self/status:/nowhere/b"));
    check(&Environment { home, kubeconfig, sudo_uid: None }, "/proc/self/status", None);
}

#[test]
fn sudo_means_the_file_of_whoever_called_it() {
    let home = Some(OsStr::new("/home/admin"));
    let sudo = |uid| Environment { home, kubeconfig: None, sudo_uid: Some(uid) };
    check(&sudo(1000), "/home/me/.kube/config", Some((1000, 100)));
    check(&sudo(4242), "/home/admin/.kube/config", None);
}

#[test]
fn the_file_is_made_with_its_directory_and_changed_in_place() {
    let directory = tempfile::tempdir().unwrap();
    let file = UserFile { path: directory.path().join("new/config"), owner: None };
    file.add(&entry()).unwrap();
    assert!(fs::read_to_string(&file.path).unwrap().contains("current-context: corten"));
    file.remove("corten").unwrap();
    assert!(!fs::read_to_string(&file.path).unwrap().contains("127.0.0.1"));
    assert_eq!(std::fs::read_dir(directory.path().join("new")).unwrap().count(), 1, "the lock is gone");
}

/// Root once wrote into the user's directory with its own rights, and gave away what a planted link led to.
#[test]
fn privileged_the_file_of_a_user_is_changed_with_the_rights_of_that_user() {
    use std::os::unix::fs::{chown, symlink};
    if !is_root() {
        eprintln!("skipped: only root can take the rights of others");
        return;
    }
    let directory = tempfile::tempdir().unwrap();
    std::fs::set_permissions(directory.path(), std::os::unix::fs::PermissionsExt::from_mode(0o755)).unwrap();
    let (home, secret) = (directory.path().join("home"), directory.path().join("secret"));
    fs::create_dir_all(&home).unwrap();
    chown(&home, Some(4_242), Some(4_243)).unwrap();
    let file = UserFile { path: home.join("a/b/config"), owner: Some((4_242, 4_243)) };
    file.add(&entry()).unwrap();
    for made in [&file.path, &home.join("a/b"), &home.join("a")] {
        let metadata = std::fs::metadata(made).unwrap();
        assert_eq!((metadata.uid(), metadata.gid()), (4_242, 4_243), "{}", made.display());
    }
    fs::write_atomic(&secret, b"kind: Config", 0o600).unwrap();
    fs::remove_file(&file.path).unwrap();
    symlink(&secret, &file.path).unwrap();
    file.add(&entry()).unwrap_err();
    assert_eq!(fs::read(&secret).unwrap(), b"kind: Config");
    assert_eq!(std::fs::metadata(&secret).unwrap().uid(), 0);
}

/// `KUBECONFIG=/dev/null corten up` once put a file in the device's place.
#[test]
fn what_is_no_regular_file_is_left_alone() {
    use std::os::unix::fs::{FileTypeExt as _, symlink};
    let directory = tempfile::tempdir().unwrap();
    let (pipe, link) = (directory.path().join("pipe"), directory.path().join("link"));
    nix::unistd::mkfifo(&pipe, nix::sys::stat::Mode::S_IRWXU).unwrap();
    symlink(&pipe, &link).unwrap();
    for path in [&pipe, &link, &directory.path().to_owned()] {
        let file = UserFile { path: path.clone(), owner: None };
        let error = file.add(&entry()).unwrap_err().to_string();
        assert!(error.ends_with("is no regular file, and is left alone"), "{error}");
        file.refresh(&entry()).unwrap();
        file.remove("corten").unwrap();
    }
    assert!(std::fs::symlink_metadata(&pipe).unwrap().file_type().is_fifo());
    assert_eq!(std::fs::read_dir(directory.path()).unwrap().count(), 2, "no lock, nothing half done");
}

/// A kubeconfig that a group could read was its owner's alone after `up`.
#[test]
fn a_file_keeps_its_mode_and_owner_also_behind_a_link() {
    use std::os::unix::fs::{chown, symlink};
    let directory = tempfile::tempdir().unwrap();
    let (real, link) = (directory.path().join("real"), directory.path().join("link"));
    symlink("real", &link).unwrap();
    let file = UserFile { path: link.clone(), owner: None };
    // The link leads nowhere yet.
    file.add(&entry()).unwrap();
    assert!(link.is_symlink());
    std::fs::set_permissions(&real, std::fs::Permissions::from_mode(0o640)).unwrap();
    if is_root() {
        chown(&real, Some(4_242), Some(4_243)).unwrap();
    }
    let before = std::fs::metadata(&real).unwrap();
    file.remove("corten").unwrap();
    file.add(&entry()).unwrap();
    let after = std::fs::metadata(&real).unwrap();
    assert!(link.is_symlink());
    assert_eq!((after.mode(), after.uid(), after.gid()), (before.mode(), before.uid(), before.gid()));
    assert!(fs::read_to_string(&real).unwrap().contains("current-context: corten"));
}

#[test]
fn a_locked_file_is_left_alone() {
    let directory = tempfile::tempdir().unwrap();
    let file = UserFile { path: directory.path().join("config"), owner: None };
    let lock = FileLock::take(&file.path).unwrap();
    let error = file.add(&entry()).unwrap_err().to_string();
    assert!(error.contains("another program is changing"), "{error}");
    drop(lock);
    file.add(&entry()).unwrap();
}

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

//! Imports real archives. Root is needed: layers are unpacked through overlay mounts.

#![expect(clippy::print_stdout, reason = "the reader of a test run has to see what was not tried")]

use std::path::PathBuf;

use corten_container_runtime::images::{import::import, store::ImageStore};

/// The archives that `cargo xtask images` writes; `None` when the run was not promised them.
fn archives() -> Option<PathBuf> {
    let place = std::env::var_os("CORTEN_TEST_IMAGES").map(PathBuf::from);
    if let Some(place) = &place {
        assert!(place.join("busybox-1.28.oci.tar").is_file(), "CORTEN_TEST_IMAGES has no images");
    }
    let place = place.filter(|_| rustix::process::geteuid().is_root());
    if place.is_none() {
        println!("skipped: needs root and CORTEN_TEST_IMAGES");
    }
    place
}

mod privileged {
    use super::*;

    #[test]
    fn both_kinds_of_archive_give_the_same_image() {
        let Some(archives) = archives() else { return };
        let directory = tempfile::tempdir_in(env!("CARGO_TARGET_TMPDIR")).unwrap();
        let store = ImageStore::open(directory.path().to_owned()).unwrap();
        let docker = import(&store, &archives.join("busybox-1.28.docker.tar")).unwrap();
        let oci = import(&store, &archives.join("busybox-1.28.oci.tar")).unwrap();
        assert_eq!((docker.len(), oci.len()), (1, 1));
        assert_eq!((&docker[0].id, &docker[0].chain), (&oci[0].id, &oci[0].chain));
        let image = store.find("busybox:1.28").expect("found by its short name");
        assert_eq!(image.id, oci[0].id);
        assert_eq!(store.find(&image.id.to_string()).as_ref(), Some(&image));
        assert_eq!(store.find(&image.id.hex()[..12]).as_ref(), Some(&image));
        assert_eq!(store.list().len(), 1);
        assert!(store.snapshots.lowers(&image.chain).iter().any(|lower| lower.join("bin/sh").exists()));

        let again = ImageStore::open(directory.path().to_owned()).unwrap();
        assert_eq!(again.find("busybox:1.28"), Some(image.clone()));
        assert!(again.remove("busybox:1.28", |_| true).is_err(), "a container uses it");
        again.remove("busybox:1.28", |_| false).unwrap();
        again.remove("busybox:1.28", |_| false).unwrap();
        assert_eq!(again.list(), []);
        assert!(!again.snapshots.contains(&image.chain[0]));
        assert!(!again.content.contains(&image.id));
    }
}

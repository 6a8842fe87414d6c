//! Whatever an image is made of, it is read or refused, and nothing of a layer lies outside of its directory.

use std::fs;

use corten_fuzz::{Target, texts};
use tar::EntryType::{self, Directory, Link, Regular, Symlink};

use super::{
    Digest, Reference,
    import::{self, Document},
    store::ConfigBlob,
    unpack,
};

const TARGETS: &[Target] = &[
    Target { name: "layer", corpus: layers, run: unpack_layer },
    Target { name: "manifest", corpus: manifests, run: read_manifest },
    Target { name: "reference", corpus: references, run: read_reference },
];

fn layer(kind: EntryType, path: &str, link: &str, content: &[u8]) -> Vec<u8> {
    let mut builder = tar::Builder::new(Vec::new());
    let mut header = tar::Header::new_ustar();
    // By hand: the library refuses paths that lead out.
    header.as_mut_bytes()[..path.len()].copy_from_slice(path.as_bytes());
    header.as_mut_bytes()[157..157 + link.len()].copy_from_slice(link.as_bytes());
    header.set_entry_type(kind);
    header.set_mode(0o644);
    header.set_uid(u64::from(rustix::process::geteuid().as_raw()));
    header.set_gid(u64::from(rustix::process::getegid().as_raw()));
    header.set_size(content.len() as u64);
    header.set_cksum();
    builder.append(&header, content).unwrap();
    builder.into_inner().unwrap()
}

fn layers() -> Vec<Vec<u8>> {
    vec![
        layer(Regular, "etc/passwd", "", b"root"),
        layer(Directory, "a/b/", "", b""),
        layer(Symlink, "up", "../../..", b""),
        layer(Regular, "up/escaped", "", b"out"),
        layer(Link, "hard", "etc/passwd", b""),
        layer(Regular, "etc/.wh.passwd", "", b""),
        layer(Regular, "../outside", "", b"out"),
    ]
}

/// Makes the checksum of the first header right again: no change would come further than it.
fn mended(input: &[u8]) -> Vec<u8> {
    let mut archive = input.to_vec();
    if let Some(header) = archive.first_chunk_mut::<512>() {
        header[148..156].fill(b' ');
        let sum: u32 = header.iter().map(|byte| u32::from(*byte)).sum();
        header[148..156].copy_from_slice(format!("{sum:06o}\0 ").as_bytes());
    }
    archive
}

fn unpack_layer(input: &[u8]) {
    let place = tempfile::tempdir().unwrap();
    let root = place.path().join("root");
    fs::create_dir(&root).unwrap();
    let _ = unpack::unpack(&mended(input)[..], &root);
    let beside: Vec<_> = fs::read_dir(place.path()).unwrap().map(|entry| entry.unwrap().file_name()).collect();
    assert_eq!(beside, ["root"], "nothing lies beside the layer");
}

const EMPTY: &str = "sha256:e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855";

fn manifests() -> Vec<Vec<u8>> {
    let manifest = r#"{"schemaVersion":2,"mediaType":"application/vnd.oci.image.manifest.v1+json","config":{"digest":"EMPTY",
        "mediaType":"application/vnd.oci.image.config.v1+json","size":2},"layers":[{"size":3,"digest":"EMPTY",
        "mediaType":"application/vnd.oci.image.layer.v1.tar+gzip"}]}"#;
    let index = r#"{"schemaVersion":2,"manifests":[{"mediaType":"application/vnd.oci.image.manifest.v1+json","size":2,
        "digest":"EMPTY","platform":{"architecture":"amd64","os":"linux"}}]}"#;
    let config = r#"{"architecture":"amd64","os":"linux","config":{"Env":["A=b"],"Cmd":["sh"],"User":"1:2",
        "WorkingDir":"/"},"rootfs":{"type":"layers","diff_ids":["EMPTY"]}}"#;
    [manifest, index, config].map(|text| text.replace("EMPTY", EMPTY).into_bytes()).to_vec()
}

fn read_manifest(input: &[u8]) {
    let _ = import::parse::<Document>("manifest", input);
    let _ = import::parse::<ConfigBlob>("config", input);
}

fn references() -> Vec<Vec<u8>> {
    let pinned = format!("localhost:5000/a/b@{EMPTY}");
    texts(&["docker.io/library/busybox:1.28", &pinned, "busybox", "[::1]:5000/a:b"])
}

fn read_reference(input: &[u8]) {
    let Ok(text) = std::str::from_utf8(input) else { return };
    if let Ok(reference) = text.parse::<Reference>() {
        let written = reference.to_string();
        assert_eq!(written.parse::<Reference>().unwrap().to_string(), written);
    }
    let _ = text.parse::<Digest>();
}

#[test]
fn no_input_harms_a_decoder() {
    corten_fuzz::smoke(TARGETS);
}

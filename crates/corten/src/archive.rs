//! Archives of images as people have them: plain tar files, or compressed with gzip or zstd.
//!
//! The importer reads an archive by position, which a compressed one does not allow: it is unpacked into a file without a
//! name beside the images first. Nothing of a file that is no archive is shown.

use std::{
    fs::File,
    io::{self, Read as _, Seek as _},
    os::fd::AsRawFd as _,
    path::{Path, PathBuf},
    sync::Arc,
};

use anyhow::{Context as _, bail};
use corten_base::ErrorChain;
use corten_container_runtime::images::{
    import,
    store::{Image, ImageStore},
};

/// One block of a tar file: a header, or data.
const BLOCK_BYTES: usize = 512;

/// Where a header has its checksum: six octal digits, a zero and a blank, or nearly so.
const CHECKSUM: std::ops::Range<usize> = 148..156;

/// The longest error text that is passed on: longer ones quote what they stumbled over.
const TEXT_MAX: usize = 300;

/// What is said of a file that is something else.
const NO_ARCHIVE: &str = "it is no archive of images: expected what `docker save` writes or an OCI layout, as a tar file \
                          that may be compressed with gzip or zstd";

/// What a file begins like.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    Tar,
    Gzip,
    Zstd,
    Other,
}

/// Imports archives one after the other; gives a line per image. Blocks.
///
/// Errors: which archive could not be imported and why; those before it are imported.
pub(crate) fn import_all(store: &ImageStore, archives: &[PathBuf]) -> anyhow::Result<Vec<String>> {
    let mut lines = Vec::new();
    for archive in archives {
        let images = import_one(store, archive).with_context(|| format!("import {}", archive.display()))?;
        lines.extend(images.iter().map(|image| {
            let names: Vec<&str> = image.tags.iter().map(String::as_str).collect();
            let name = if names.is_empty() { image.id.to_string() } else { names.join(", ") };
            format!("imported {name}")
        }));
    }
    Ok(lines)
}

/// Looks at the beginning of archives, so that one that is not there or is something else is known before work begins.
///
/// Errors: which archive, and why.
pub(crate) fn check(archives: &[PathBuf]) -> anyhow::Result<()> {
    archives.iter().try_for_each(|archive| {
        let opened = open(archive).and_then(|(_, kind)| if kind == Kind::Other { bail!(NO_ARCHIVE) } else { Ok(()) });
        opened.with_context(|| format!("import {}", archive.display()))
    })
}

/// Opens an archive and looks what it is.
fn open(archive: &Path) -> anyhow::Result<(File, Kind)> {
    let mut file = File::open(archive).map_err(|error| anyhow::anyhow!("open it: {error}"))?;
    let kind = kind(&mut file).map_err(|error| anyhow::anyhow!("read it: {error}"))?;
    Ok((file, kind))
}

fn import_one(store: &ImageStore, archive: &Path) -> anyhow::Result<Vec<Arc<Image>>> {
    let (file, kind) = open(archive)?;
    let unpacked = match kind {
        Kind::Tar => return import::import(store, archive).map_err(|error| shown(&error, "")),
        Kind::Gzip => unpack(flate2::read::MultiGzDecoder::new(file), store.directory()),
        Kind::Zstd => zstd::Decoder::new(file).and_then(|decoder| unpack(decoder, store.directory())),
        Kind::Other => bail!(NO_ARCHIVE),
    };
    let mut unpacked = unpacked.map_err(|error| anyhow::anyhow!("unpack it: {error}"))?;
    if self::kind(&mut unpacked).context("read what was unpacked")? != Kind::Tar {
        bail!("what is compressed in it is no tar file");
    }
    // The importer opens a path; this one leads to the file that has no other.
    let path = format!("/proc/self/fd/{}", unpacked.as_raw_fd());
    import::import(store, Path::new(&path)).map_err(|error| shown(&error, &path))
}

/// Copies what comes into a file without a name, so that a killed process leaves nothing.
fn unpack(mut from: impl io::Read, directory: &Path) -> io::Result<File> {
    let mut file = tempfile::tempfile_in(directory)?;
    io::copy(&mut from, &mut file)?;
    Ok(file)
}

/// Looks at the first block, and goes back to the beginning.
fn kind(file: &mut File) -> io::Result<Kind> {
    let mut head = Vec::new();
    file.rewind()?;
    io::Read::by_ref(file).take(BLOCK_BYTES as u64).read_to_end(&mut head)?;
    file.rewind()?;
    Ok(kind_of(&head))
}

fn kind_of(head: &[u8]) -> Kind {
    match head {
        [0x1f, 0x8b, ..] => Kind::Gzip,
        [0x28, 0xb5, 0x2f, 0xfd, ..] => Kind::Zstd,
        head if head.len() == BLOCK_BYTES && has_checksum(head) => Kind::Tar,
        _ => Kind::Other,
    }
}

/// Whether a block is the header of a tar file: the sum of its bytes stands in it, summed with blanks in its place.
fn has_checksum(block: &[u8]) -> bool {
    let digits: String = block[CHECKSUM].iter().map(|byte| char::from(*byte)).filter(char::is_ascii_digit).collect();
    let byte_at = |(at, byte): (usize, &u8)| u64::from(if CHECKSUM.contains(&at) { b' ' } else { *byte });
    u64::from_str_radix(&digits, 8).is_ok_and(|sum| sum == block.iter().enumerate().map(byte_at).sum::<u64>())
}

/// An error without the bytes that it stumbled over, and without the name of the file that has none.
fn shown(error: &(dyn std::error::Error + 'static), nameless: &str) -> anyhow::Error {
    let mut text = ErrorChain(error).to_string();
    if !nameless.is_empty() {
        text = text.replace(nameless, "what it holds");
    }
    let is_harmless = |one: char| one.is_ascii_graphic() || one == ' ';
    let mut text: String = text.chars().map(|one| if is_harmless(one) { one } else { '?' }).collect();
    if text.len() > TEXT_MAX {
        text.truncate(TEXT_MAX);
        text.push_str("...");
    }
    anyhow::Error::msg(text)
}

#[cfg(test)]
mod tests {
    use std::io::Write as _;

    use super::*;

    /// A tar file with one empty file in it.
    fn tar() -> Vec<u8> {
        let mut header = vec![0; BLOCK_BYTES];
        header[..5].copy_from_slice(b"notes");
        header[100..107].copy_from_slice(b"0000644");
        header[124..135].copy_from_slice(b"00000000000");
        header[156] = b'0';
        header[257..263].copy_from_slice(b"ustar\0");
        header[CHECKSUM].fill(b' ');
        let sum: u32 = header.iter().map(|byte| u32::from(*byte)).sum();
        header[148..155].copy_from_slice(format!("{sum:06o}\0").as_bytes());
        header.extend([0; 2 * BLOCK_BYTES]);
        header
    }

    #[test]
    fn archives_are_told_from_other_files() {
        assert_eq!(kind_of(&tar()[..BLOCK_BYTES]), Kind::Tar);
        assert_eq!(kind_of(&tar()[..BLOCK_BYTES - 1]), Kind::Other);
        assert_eq!(kind_of(&[b'0'; BLOCK_BYTES]), Kind::Other);
        assert_eq!(kind_of(&[0; BLOCK_BYTES]), Kind::Other);
        assert_eq!(kind_of(b""), Kind::Other);
        assert_eq!(kind_of(&[0x1f, 0x8b, 8]), Kind::Gzip);
    }

    #[track_caller]
    fn check(content: &[u8], want: &str) {
        let directory = tempfile::tempdir().unwrap();
        let store = ImageStore::open(directory.path().join("images")).unwrap();
        let path = directory.path().join("archive");
        std::fs::write(&path, content).unwrap();
        let error = format!("{:#}", import_all(&store, &[path]).unwrap_err());
        assert!(error.contains("archive: ") && error.contains(want), "{error}");
        assert!(error.bytes().all(|byte| byte == b' ' || byte.is_ascii_graphic()), "{error:?}");
    }

    #[test]
    fn what_is_no_archive_is_refused_in_plain_words() {
        check(b"root:x:0:0:root:/root:/bin/bash\n", "it is no archive of images");
        check(&tar(), "neither manifest.json nor index.json");
        let mut gzip = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
        gzip.write_all(&tar()).unwrap();
        let gzip = gzip.finish().unwrap();
        check(&gzip, "neither manifest.json nor index.json");
        check(&gzip[..gzip.len() / 2], "unpack it");
        check(&zstd::encode_all(&tar()[..], 0).unwrap(), "neither manifest.json nor index.json");
        check(&zstd::encode_all(&b"text"[..], 0).unwrap(), "no tar file");
        let mut broken = tar();
        broken[BLOCK_BYTES..2 * BLOCK_BYTES].fill(0xfe);
        check(&broken, "");
    }
}

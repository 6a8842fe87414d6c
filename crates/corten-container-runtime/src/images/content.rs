//! Blobs: files named by the sha256 of their bytes.
//!
//! Layout: `blobs/sha256/<hex>`, as in an OCI image layout; `ingest/` holds what is not complete. A blob appears under its
//! name only when all of it is on disk and its digest was checked, so a name never means wrong bytes.

use std::{
    fs::File,
    io::{self, Read, Write as _},
    path::PathBuf,
};

use corten_base::fs::{self, Context as _};
use parking_lot::Mutex;

use super::{DOCUMENT_BYTES_MAX, Digest, ImageError, digest::HashingReader, too_long};

/// The blobs below one directory. All calls block.
#[derive(Debug)]
pub struct ContentStore {
    blobs: PathBuf,
    ingest: PathBuf,
    next: Mutex<u64>,
}

impl ContentStore {
    /// Opens the store in `directory`; what an earlier process did not complete is removed.
    pub fn open(directory: PathBuf) -> Result<Self, ImageError> {
        let (blobs, ingest) = (directory.join("blobs/sha256"), directory.join("ingest"));
        fs::remove_dir_all(&ingest)?;
        fs::create_dir_all(&ingest)?;
        fs::create_dir_all(&blobs)?;
        Ok(Self { blobs, ingest, next: Mutex::new(0) })
    }

    /// Where the blob is, or would be.
    #[must_use]
    pub fn path(&self, digest: &Digest) -> PathBuf {
        self.blobs.join(digest.hex())
    }

    /// Whether it is there.
    #[must_use]
    pub fn contains(&self, digest: &Digest) -> bool {
        self.path(digest).is_file()
    }

    /// Copies `source` into the store; returns its digest and its size in bytes.
    ///
    /// Errors: [`ImageError::Digest`] if `wanted` is something else; nothing is kept then.
    pub fn write(&self, source: impl Read, wanted: Option<&Digest>) -> Result<(Digest, u64), ImageError> {
        let temporary = {
            let mut next = self.next.lock();
            *next += 1;
            self.ingest.join(next.to_string())
        };
        let written = self.ingest(source, wanted, &temporary);
        if written.is_err() {
            fs::remove_file(&temporary)?;
        }
        written
    }

    fn ingest(
        &self,
        source: impl Read,
        wanted: Option<&Digest>,
        temporary: &PathBuf,
    ) -> Result<(Digest, u64), ImageError> {
        let mut file = File::create(temporary).at("create", temporary)?;
        let mut source = HashingReader::new(source);
        let size_bytes = io::copy(&mut source, &mut file).at("write", temporary)?;
        let found = source.digest();
        if let Some(wanted) = wanted.filter(|wanted| **wanted != found) {
            return Err(ImageError::Digest { wanted: wanted.clone(), found });
        }
        file.flush().and_then(|()| file.sync_all()).at("sync", temporary)?;
        let path = self.path(&found);
        std::fs::rename(temporary, &path).at("rename to", &path)?;
        File::open(&self.blobs).and_then(|directory| directory.sync_all()).at("sync", &self.blobs)?;
        Ok((found, size_bytes))
    }

    /// A whole blob, for documents.
    ///
    /// Errors: [`ImageError::Invalid`] if it is too long to be one.
    pub fn read(&self, digest: &Digest) -> Result<Vec<u8>, ImageError> {
        let path = self.path(digest);
        let mut document = Vec::new();
        let file = File::open(&path).at("open", &path)?;
        file.take(DOCUMENT_BYTES_MAX + 1).read_to_end(&mut document).at("read", &path)?;
        if document.len() as u64 > DOCUMENT_BYTES_MAX {
            return Err(too_long(&digest.to_string()));
        }
        Ok(document)
    }

    /// Opens a blob.
    pub fn open_blob(&self, digest: &Digest) -> Result<File, ImageError> {
        let path = self.path(digest);
        Ok(File::open(&path).at("open", &path)?)
    }

    /// Removes the blobs that `keep` does not want; returns how many bytes that gave back.
    pub fn retain(&self, keep: impl Fn(&Digest) -> bool) -> Result<u64, ImageError> {
        let mut freed = 0;
        for entry in std::fs::read_dir(&self.blobs).at("read directory", &self.blobs)? {
            let entry = entry.at("read directory", &self.blobs)?;
            let name = entry.file_name();
            let digest = format!("sha256:{}", name.to_string_lossy()).parse::<Digest>();
            if digest.is_ok_and(|digest| !keep(&digest)) {
                freed += entry.metadata().at("stat", &entry.path())?.len();
                fs::remove_file(&entry.path())?;
            }
        }
        Ok(freed)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Once, an image's config was read whatever its length, into the memory of the process that is the cluster.
    #[test]
    fn what_is_too_long_for_a_document_is_not_read() {
        let directory = tempfile::tempdir().unwrap();
        let store = ContentStore::open(directory.path().to_owned()).unwrap();
        let (fits, _) = store.write(io::repeat(b' ').take(DOCUMENT_BYTES_MAX), None).unwrap();
        assert_eq!(store.read(&fits).unwrap().len() as u64, DOCUMENT_BYTES_MAX);
        let (long, _) = store.write(io::repeat(b' ').take(DOCUMENT_BYTES_MAX + 1), None).unwrap();
        assert!(matches!(store.read(&long), Err(ImageError::Invalid(_))));
    }

    #[test]
    fn a_blob_is_found_by_its_digest_and_wrong_bytes_are_not_kept() {
        let directory = tempfile::tempdir().unwrap();
        let store = ContentStore::open(directory.path().to_owned()).unwrap();
        let (digest, size) = store.write(&b"hello"[..], None).unwrap();
        assert_eq!((size, store.read(&digest).unwrap().as_slice()), (5, &b"hello"[..]));
        assert!(matches!(store.write(&b"other"[..], Some(&digest)), Err(ImageError::Digest { .. })));
        assert!(!store.contains(&Digest::of(b"other")));
        assert_eq!(std::fs::read_dir(directory.path().join("ingest")).unwrap().count(), 0);
        assert_eq!(store.retain(|_| false).unwrap(), 5);
        assert!(!store.contains(&digest));
    }
}

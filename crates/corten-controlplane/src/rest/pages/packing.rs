//! How the body of a page is packed.

use std::io::{self, Read as _, Write as _};

use bytes::Bytes;
use flate2::{
    Compression,
    read::{DeflateDecoder, GzDecoder},
    write::{DeflateEncoder, GzEncoder},
};
use http::HeaderValue;

/// The ways that are understood.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Packing {
    Plain,
    Gzip,
    Deflate,
}

impl Packing {
    /// That of a `Content-Encoding`; `None` for one that is not understood.
    pub(super) fn of(encoding: Option<&HeaderValue>) -> Option<Self> {
        match encoding.map(HeaderValue::as_bytes) {
            None | Some(b"") => Some(Self::Plain),
            Some(b"gzip") => Some(Self::Gzip),
            Some(b"deflate") => Some(Self::Deflate),
            Some(_) => None,
        }
    }

    /// The page itself; `None` if it is packed wrongly, or has more than `limit` bytes.
    pub(super) fn unpack(self, packed: &Bytes, limit: usize) -> Option<Bytes> {
        let read = |reader: &mut dyn io::Read| {
            let mut page = Vec::new();
            reader.take(limit as u64 + 1).read_to_end(&mut page).ok()?;
            (page.len() <= limit).then(|| page.into())
        };
        match self {
            Self::Plain => Some(packed.clone()),
            Self::Gzip => read(&mut GzDecoder::new(&packed[..])),
            Self::Deflate => read(&mut DeflateDecoder::new(&packed[..])),
        }
    }

    /// Packs a page in the same way.
    pub(super) fn pack(self, page: Vec<u8>) -> io::Result<Bytes> {
        let packed = match self {
            Self::Plain => page,
            Self::Gzip => {
                let mut encoder = GzEncoder::new(Vec::new(), Compression::default());
                encoder.write_all(&page)?;
                encoder.finish()?
            }
            Self::Deflate => {
                let mut encoder = DeflateEncoder::new(Vec::new(), Compression::default());
                encoder.write_all(&page)?;
                encoder.finish()?
            }
        };
        Ok(packed.into())
    }
}

//! Header blocks: names and values, compressed in one zlib stream per direction of the connection.

use flate2::{Compress, Compression, Decompress, FlushCompress, FlushDecompress, Status};

use super::{SpdyError, dictionary::dictionary};

/// The headers of one stream: lower-case names; values of one name are joined by a zero byte.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Headers(pub Vec<(String, String)>);

/// The longest header block after decompression: what keeps a small frame from becoming a large one.
const BLOCK_BYTES_MAX: usize = 16 << 10;

impl Headers {
    /// Headers from pairs.
    pub fn of<const N: usize>(pairs: [(&str, &str); N]) -> Self {
        Self(pairs.into_iter().map(|(name, value)| (name.to_ascii_lowercase(), value.to_owned())).collect())
    }

    /// The first value of `name`; empty if there is none.
    #[must_use]
    pub fn get(&self, name: &str) -> &str {
        let found = self.0.iter().find(|(known, _)| known.eq_ignore_ascii_case(name));
        found.map_or("", |(_, values)| values.split('\0').next().unwrap_or_default())
    }
}

/// Compresses blocks.
#[derive(Debug)]
pub(super) struct Compressor(Compress);

impl Compressor {
    pub(super) fn new() -> Result<Self, SpdyError> {
        let mut compress = Compress::new(Compression::default(), true);
        compress.set_dictionary(&dictionary()).map_err(|_| SpdyError::Compression)?;
        Ok(Self(compress))
    }

    pub(super) fn encode(&mut self, headers: &Headers) -> Result<Vec<u8>, SpdyError> {
        let mut plain = Vec::new();
        let text = |text: &str, plain: &mut Vec<u8>| {
            plain.extend_from_slice(&(text.len() as u32).to_be_bytes());
            plain.extend_from_slice(text.as_bytes());
        };
        plain.extend_from_slice(&(headers.0.len() as u32).to_be_bytes());
        for (name, value) in &headers.0 {
            text(name, &mut plain);
            text(value, &mut plain);
        }
        let mut out = Vec::with_capacity(plain.len() + 64);
        let start = self.0.total_in();
        loop {
            let taken = usize::try_from(self.0.total_in() - start).map_err(|_| SpdyError::Compression)?;
            let status = self.0.compress_vec(&plain[taken..], &mut out, FlushCompress::Sync);
            match status {
                // All is out once the last call left room in the buffer.
                Ok(Status::Ok | Status::BufError) if out.len() < out.capacity() => return Ok(out),
                Ok(Status::Ok | Status::BufError) => out.reserve(256),
                _ => return Err(SpdyError::Compression),
            }
        }
    }
}

/// Decompresses blocks.
#[derive(Debug)]
pub(super) struct Decompressor(Decompress);

impl Decompressor {
    pub(super) fn new() -> Self {
        Self(Decompress::new(true))
    }

    pub(super) fn decode(&mut self, block: &[u8]) -> Result<Headers, SpdyError> {
        let mut plain = Vec::with_capacity(1_024);
        let start = self.0.total_in();
        loop {
            let taken = usize::try_from(self.0.total_in() - start).map_err(|_| SpdyError::Compression)?;
            match self.0.decompress_vec(&block[taken..], &mut plain, FlushDecompress::Sync) {
                Ok(Status::Ok | Status::BufError) => {}
                Ok(Status::StreamEnd) => return Err(SpdyError::Compression),
                Err(error) if error.needs_dictionary().is_some() => {
                    self.0.set_dictionary(&dictionary()).map_err(|_| SpdyError::Compression)?;
                    continue;
                }
                Err(_) => return Err(SpdyError::Compression),
            }
            if plain.len() < plain.capacity() {
                break;
            }
            if plain.len() >= BLOCK_BYTES_MAX {
                return Err(SpdyError::TooLarge);
            }
            plain.reserve(plain.len());
        }
        parse(&plain)
    }
}

fn parse(mut plain: &[u8]) -> Result<Headers, SpdyError> {
    let count = number(&mut plain)?;
    let mut headers = Vec::new();
    for _ in 0..count {
        let name = text(&mut plain)?;
        headers.push((name.to_ascii_lowercase(), text(&mut plain)?));
    }
    Ok(Headers(headers))
}

fn number(plain: &mut &[u8]) -> Result<usize, SpdyError> {
    let (head, rest) = plain.split_first_chunk::<4>().ok_or(SpdyError::Malformed("header block"))?;
    *plain = rest;
    Ok(u32::from_be_bytes(*head) as usize)
}

fn text(plain: &mut &[u8]) -> Result<String, SpdyError> {
    let length = number(plain)?;
    let (text, rest) = plain.split_at_checked(length).ok_or(SpdyError::Malformed("header block"))?;
    *plain = rest;
    String::from_utf8(text.to_vec()).map_err(|_| SpdyError::Malformed("header"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_dictionary_is_the_one_of_spdy_3() {
        // The start of a zlib stream names its dictionary by Adler-32.
        let block = Compressor::new().unwrap().encode(&Headers::default()).unwrap();
        assert_eq!(block[2..6], [0xe3, 0xc6, 0xa7, 0xc2]);
    }

    #[test]
    fn blocks_read_back_one_after_the_other() {
        let (mut compressor, mut decompressor) = (Compressor::new().unwrap(), Decompressor::new());
        let long = "x".repeat(5_000);
        for headers in [
            Headers::of([("streamType", "stdin"), ("port", "80")]),
            Headers::default(),
            Headers::of([("streamType", "stdout"), ("long", &long)]),
        ] {
            let block = compressor.encode(&headers).unwrap();
            assert_eq!(decompressor.decode(&block).unwrap(), headers);
        }
    }

    #[test]
    fn a_block_that_grows_too_large_is_refused() {
        let mut compressor = Compressor::new().unwrap();
        let huge = "x".repeat(1 << 20);
        let block = compressor.encode(&Headers::of([("a", &huge)])).unwrap();
        assert!(block.len() < 10_000);
        assert_eq!(Decompressor::new().decode(&block), Err(SpdyError::TooLarge));
    }
}

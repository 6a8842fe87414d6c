//! A document in gzip, for clients that take it.
//!
//! Upstream: github.com/NYTimes/gziphandler, by which k8s.io/kube-openapi/pkg/handler serves v2, and only that (v1.35). Its
//! bound of 1,400 bytes plays no part: each document is larger.

use std::io::Write as _;

use bytes::Bytes;
use flate2::{Compression, write::GzEncoder};

/// Whether a client takes gzip, from its `Accept-Encoding`. A wildcard is none, and what cannot be read says nothing.
pub(super) fn is_accepted(header: &str) -> bool {
    let mut is_accepted = false;
    for clause in header.split(',') {
        let mut parts = clause.split(';').map(str::trim);
        let is_gzip = parts.next().is_some_and(|coding| coding.eq_ignore_ascii_case("gzip"));
        let weight = parts.find_map(|parameter| parameter.strip_prefix("q=")).map_or(Ok(1.0), str::parse::<f64>);
        if let (true, Ok(weight)) = (is_gzip, weight) {
            is_accepted = weight > 0.0;
        }
    }
    is_accepted
}

/// The bytes in gzip.
pub(super) fn compressed(plain: &[u8]) -> Bytes {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::default());
    // A vector takes everything.
    let written = encoder.write_all(plain).and_then(|()| encoder.finish());
    written.expect("memory takes what is written").into()
}

#[cfg(test)]
mod tests {
    use std::io::Read as _;

    use flate2::read::GzDecoder;

    use super::*;

    #[test]
    fn clients_say_whether_they_take_gzip() {
        for (header, want) in [
            ("gzip", true),
            ("GZIP", true),
            ("deflate, gzip;q=0.5 , br", true),
            ("gzip; q=1.0", true),
            ("", false),
            ("*", false),
            ("deflate", false),
            ("gzip;q=0", false),
            ("gzip;q=0.000", false),
            ("gzip;q=x", false),
            ("gzipped", false),
        ] {
            assert_eq!(is_accepted(header), want, "{header}");
        }
    }

    #[test]
    fn what_was_compressed_comes_back() {
        let plain = "a document ".repeat(10_000);
        let bytes = compressed(plain.as_bytes());
        assert!(bytes.len() < plain.len() / 10);
        let mut back = String::new();
        GzDecoder::new(&*bytes).read_to_string(&mut back).unwrap();
        assert_eq!(back, plain);
    }
}

//! Base64 for URLs as Go's decoder takes it: without padding, with line ends anywhere, and whatever the last bits are.
//!
//! Upstream: `RawURLEncoding` in encoding/base64.

use base64::{
    Engine as _, alphabet,
    engine::{DecodePaddingMode, GeneralPurpose, GeneralPurposeConfig},
};

const ENGINE: GeneralPurpose = GeneralPurpose::new(
    &alphabet::URL_SAFE,
    GeneralPurposeConfig::new()
        .with_decode_allow_trailing_bits(true)
        .with_decode_padding_mode(DecodePaddingMode::RequireNone),
);

/// Text that is no base64, and where; the text is that of Go.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("illegal base64 data at input byte {0}")]
pub(super) struct Corrupt(usize);

/// The bytes that `text` stands for.
pub(super) fn decode_url(text: &str) -> Result<Vec<u8>, Corrupt> {
    let is_digit = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_');
    let is_line_end = |byte: u8| matches!(byte, b'\n' | b'\r');
    if let Some(at) = text.bytes().position(|byte| !is_digit(byte) && !is_line_end(byte)) {
        return Err(Corrupt(at));
    }
    let digits: Vec<u8> = text.bytes().filter(|&byte| is_digit(byte)).collect();
    // One digit alone is less than a byte.
    ENGINE.decode(&digits).map_err(|_| Corrupt(text.len().saturating_sub(1)))
}

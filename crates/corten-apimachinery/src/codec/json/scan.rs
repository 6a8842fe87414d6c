//! Looks for what ends a text or needs care within it, eight bytes at a time and in place: most texts are so short that a call
//! to search them costs more than the search.

const ONES: u64 = u64::from_ne_bytes([0x01; 8]);
const TOPS: u64 = u64::from_ne_bytes([0x80; 8]);

/// Where the first quote or backslash is.
#[inline]
pub(super) fn end_or_escape(text: &[u8]) -> Option<usize> {
    first(text, quotes, |byte| matches!(byte, b'"' | b'\\'))
}

/// Where the first quote, backslash or control character is.
#[inline]
pub(super) fn end_of_plain(text: &[u8]) -> Option<usize> {
    first(text, |word| quotes(word) | below_space(word) & !word, |byte| matches!(byte, b'"' | b'\\' | 0..0x20))
}

/// `of_word` sets the top bit of each byte that is looked for; only the lowest has to be right.
#[inline]
fn first(text: &[u8], of_word: impl Fn(u64) -> u64, of_byte: impl Fn(u8) -> bool) -> Option<usize> {
    let (words, rest) = text.as_chunks::<8>();
    for (at, word) in words.iter().enumerate() {
        let found = of_word(u64::from_le_bytes(*word)) & TOPS;
        if found != 0 {
            return Some(at * 8 + found.trailing_zeros() as usize / 8);
        }
    }
    let at = rest.iter().position(|byte| of_byte(*byte))?;
    Some(words.len() * 8 + at)
}

/// Whether something in a text may have to be escaped when it is written: control characters, quote, backslash, what Go escapes
/// for the sake of HTML, and all beyond ASCII, where the two line separators are.
#[inline]
pub(super) fn may_need_escapes(text: &[u8]) -> bool {
    let has = |word: &[u8; 8]| special(u64::from_le_bytes(*word)) & TOPS != 0;
    if let Some(last) = text.last_chunk() {
        // The last eight may have been looked at before.
        return text.as_chunks().0.iter().any(has) || has(last);
    }
    let word = if let (Some(first), Some(last)) = (text.first_chunk(), text.last_chunk()) {
        u64::from(u32::from_le_bytes(*first)) << 32 | u64::from(u32::from_le_bytes(*last))
    } else {
        text.iter().fold(u64::from_ne_bytes([b' '; 8]), |word, byte| word << 8 | u64::from(*byte))
    };
    special(word) & TOPS != 0
}

/// Sets the top bit of each byte that may have to be escaped, if there is one; of other bytes' too then, perhaps.
#[inline]
fn special(word: u64) -> u64 {
    let is = |byte: u8, word: u64| (word ^ u64::from_ne_bytes([byte; 8])).wrapping_sub(ONES);
    // Two pairs differ in one bit, which is set for both. Top bits are set in bytes that are not ASCII alone.
    let angles = is(b'>', word | u64::from_ne_bytes([b'>' ^ b'<'; 8]));
    let quote_or_and = is(b'&', word | u64::from_ne_bytes([b'&' ^ b'"'; 8]));
    angles | quote_or_and | is(b'\\', word) | below_space(word) | word
}

/// Sets the top bits of quotes and backslashes. The lowest is right; those above it may be wrong.
#[inline]
fn quotes(word: u64) -> u64 {
    let is = |byte: u8| {
        let differs = word ^ u64::from_ne_bytes([byte; 8]);
        differs.wrapping_sub(ONES) & !differs
    };
    is(b'"') | is(b'\\')
}

/// The same of control characters, but for what is not ASCII.
#[inline]
fn below_space(word: u64) -> u64 {
    word.wrapping_sub(u64::from_ne_bytes([b' '; 8]))
}

#[cfg(test)]
mod tests {
    use super::{end_of_plain, end_or_escape, may_need_escapes};

    #[test]
    fn each_byte_is_seen_wherever_it_stands() {
        for len in 1..40 {
            for at in 0..len {
                for byte in 0..=u8::MAX {
                    let mut text = vec![b'x'; len];
                    text[at] = byte;
                    let ends = matches!(byte, b'"' | b'\\');
                    let want = |found: bool| found.then_some(at);
                    assert_eq!(end_or_escape(&text), want(ends), "{byte} at {at} of {len}");
                    assert_eq!(end_of_plain(&text), want(ends || byte < 0x20), "{byte} at {at} of {len}");
                    let needs =
                        ends || byte.is_ascii_control() && byte != 0x7f || !byte.is_ascii() || b"<>&".contains(&byte);
                    assert_eq!(may_need_escapes(&text), needs, "{byte} at {at} of {len}");
                }
            }
        }
        assert_eq!(end_or_escape(b""), None);
        assert!(!may_need_escapes(b""));
    }

    #[test]
    fn of_two_the_first_is_found() {
        for (text, want) in [(&b"abc\"\"\\"[..], 3), (b"ab\x01\"efghij", 2), (b"abcdefgh!\"\x1f", 9), (b"\"#\"", 0)] {
            assert_eq!(end_of_plain(text), Some(want), "{text:?}");
        }
    }
}

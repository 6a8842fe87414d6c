//! Codes: identifiers, colours, numbers with check digits.

/// The id of a BSON object.
pub(super) fn is_object_id(text: &str) -> bool {
    text.len() == 24 && is_hex(text)
}

fn is_hex(text: &str) -> bool {
    text.bytes().all(|byte| byte.is_ascii_hexdigit())
}

/// Base64 of at least one byte, with padding.
pub(super) fn is_base64(text: &str) -> bool {
    let data = text.trim_end_matches('=');
    let padding = text.len() - data.len();
    !text.is_empty()
        && text.len().is_multiple_of(4)
        && padding <= 2
        && data.bytes().all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'+' | b'/'))
}

/// A UUID, of `version` if that is given. Dashes may be left out.
pub(super) fn is_uuid(text: &str, version: Option<char>) -> bool {
    let (mut rest, mut digits) = (text, String::with_capacity(32));
    for (index, length) in [8, 4, 4, 4, 12].into_iter().enumerate() {
        if index > 0 {
            rest = rest.strip_prefix('-').unwrap_or(rest);
        }
        let Some(group) = rest.get(..length).filter(|group| is_hex(group)) else { return false };
        digits.push_str(group);
        rest = &rest[length..];
    }
    let nibble = |at: usize| digits.as_bytes()[at].to_ascii_lowercase();
    let is_version = |version: char| {
        // Those of version 3 need no variant.
        char::from(nibble(12)) == version && (version == '3' || b"89ab".contains(&nibble(16)))
    };
    rest.is_empty() && version.is_none_or(is_version)
}

fn without(text: &str, removed: &[char]) -> String {
    text.chars().filter(|c| !removed.contains(c)).collect()
}

/// The number of a book before 2007, with its check digit.
pub(super) fn is_isbn10(text: &str) -> bool {
    let code = without(text, &[' ', '-', '\t', '\n', '\r']);
    let bytes = code.as_bytes();
    if bytes.len() != 10 || !bytes[..9].iter().all(u8::is_ascii_digit) {
        return false;
    }
    let last = match bytes[9] {
        b'X' => 10,
        digit if digit.is_ascii_digit() => u32::from(digit - b'0'),
        _ => return false,
    };
    let sum: u32 = bytes[..9].iter().zip(1..).map(|(digit, weight)| u32::from(digit - b'0') * weight).sum();
    (sum + 10 * last).is_multiple_of(11)
}

/// The number of a book, with its check digit.
pub(super) fn is_isbn13(text: &str) -> bool {
    let code = without(text, &[' ', '-', '\t', '\n', '\r']);
    let bytes = code.as_bytes();
    if bytes.len() != 13 || !bytes.iter().all(u8::is_ascii_digit) {
        return false;
    }
    let sum: u32 =
        bytes.iter().zip([1, 3].into_iter().cycle()).map(|(digit, weight)| u32::from(digit - b'0') * weight).sum();
    sum.is_multiple_of(10)
}

/// The number of a card of one of the large issuers, with its check digit.
pub(super) fn is_credit_card(text: &str) -> bool {
    let digits: String = text.chars().filter(char::is_ascii_digit).collect();
    let starts = |prefixes: &[&str]| prefixes.iter().any(|prefix| digits.starts_with(prefix));
    let in_range = |from: u32, to: u32, length: usize| {
        digits.get(..length).and_then(|head| head.parse().ok()).is_some_and(|head| (from..=to).contains(&head))
    };
    let is_issued = match digits.len() {
        13 => starts(&["4"]),
        14 => in_range(300, 305, 3) || starts(&["36", "38"]),
        15 => starts(&["34", "37", "2131", "1800"]),
        16 => {
            starts(&["4", "6011", "62", "35"])
                || in_range(51, 55, 2)
                || in_range(2221, 2720, 4)
                || in_range(6500, 6599, 4)
        }
        19 => starts(&["4", "62"]),
        _ => false,
    };
    let luhn: u32 = digits
        .bytes()
        .rev()
        .enumerate()
        .map(|(at, digit)| {
            let value = u32::from(digit - b'0') * if at % 2 == 1 { 2 } else { 1 };
            value / 10 + value % 10
        })
        .sum();
    is_issued && luhn.is_multiple_of(10)
}

/// A number of the social security of the United States.
pub(super) fn is_ssn(text: &str) -> bool {
    let digits = without(text, &['-', ' ']);
    let is_number = digits.len() == 9 && digits.bytes().all(|byte| byte.is_ascii_digit());
    let separators: Vec<usize> =
        text.char_indices().filter(|(_, c)| matches!(c, '-' | ' ')).map(|(at, _)| at).collect();
    is_number && matches!(separators.as_slice(), [] | [3] | [5] | [3, 6])
}

/// A colour of three or six hexadecimal digits.
pub(super) fn is_hex_color(text: &str) -> bool {
    let digits = text.strip_prefix('#').unwrap_or(text);
    matches!(digits.len(), 3 | 6) && is_hex(digits)
}

/// A colour as `rgb(255, 0, 128)`.
pub(super) fn is_rgb_color(text: &str) -> bool {
    let Some(inner) = text.strip_prefix("rgb(").and_then(|rest| rest.strip_suffix(')')) else { return false };
    let parts: Vec<&str> = inner.split(',').map(str::trim).collect();
    let is_part = |part: &&str| {
        part.bytes().all(|byte| byte.is_ascii_digit())
            && (*part == "0" || !part.starts_with('0'))
            && part.parse::<u8>().is_ok()
    };
    parts.len() == 3 && parts.iter().all(is_part)
}

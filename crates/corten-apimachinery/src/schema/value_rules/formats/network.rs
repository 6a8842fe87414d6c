//! Names and addresses of networks, in Go's strict forms.

use std::net::{Ipv4Addr, Ipv6Addr};

/// An address of IPv4, or one of IPv6 that ends like one.
pub(super) fn is_ipv4(text: &str) -> bool {
    text.contains('.') && is_ip(text)
}

/// An address of IPv6.
pub(super) fn is_ipv6(text: &str) -> bool {
    text.contains(':') && text.parse::<Ipv6Addr>().is_ok()
}

fn is_ip(text: &str) -> bool {
    text.parse::<Ipv4Addr>().is_ok() || text.parse::<Ipv6Addr>().is_ok()
}

/// An address with the length of a prefix.
pub(super) fn is_cidr(text: &str) -> bool {
    let Some((address, length)) = text.split_once('/') else { return false };
    let max = match (address.parse::<Ipv4Addr>(), address.parse::<Ipv6Addr>()) {
        (Ok(_), _) => 32,
        (_, Ok(_)) => 128,
        _ => return false,
    };
    let is_number = !length.is_empty() && length.bytes().all(|byte| byte.is_ascii_digit());
    is_number && length.parse::<u32>().is_ok_and(|length| length <= max)
}

/// A hardware address of 6, 8 or 20 bytes, in pairs of digits with colons or dashes, or in fours with dots.
pub(super) fn is_mac(text: &str) -> bool {
    let groups = |separator: char, digits: usize| {
        let parts: Vec<&str> = text.split(separator).collect();
        let is_group = |part: &&str| part.len() == digits && part.bytes().all(|byte| byte.is_ascii_hexdigit());
        parts.iter().all(is_group) && matches!(parts.len() * digits / 2, 6 | 8 | 20)
    };
    groups(':', 2) || groups('-', 2) || groups('.', 4)
}

/// The name of a host: labels of letters, digits and symbols of any script, with single dashes within.
pub(super) fn is_hostname(text: &str) -> bool {
    if text.len() > 255 || text.split('.').any(|label| label.len() > 63) {
        return false;
    }
    let labels: Vec<&str> = text.split('.').collect();
    match labels.as_slice() {
        [label] => is_single_label(label),
        [upper @ .., last] => upper.iter().all(|label| is_upper_label(label)) && is_last_label(last),
        [] => false,
    }
}

/// Letters, digits and symbols; the classes of symbols beyond ASCII are taken as all that is neither letter, control, space
/// nor one of the common punctuation marks.
fn is_word(c: char) -> bool {
    match c {
        '$' | '+' | '<' | '=' | '>' | '^' | '`' | '|' | '~' => true,
        c if c.is_ascii() => c.is_ascii_alphanumeric(),
        c => c.is_alphabetic() || is_symbol(c),
    }
}

/// The blocks that hold the symbols of Unicode (currency, arrows, mathematics, dingbats, pictures).
fn is_symbol(c: char) -> bool {
    matches!(u32::from(c),
        0xA2..=0xA6 | 0xA8 | 0xA9 | 0xAC | 0xAE..=0xB1 | 0xB4 | 0xB8 | 0xD7 | 0xF7
        | 0x20A0..=0x20C0 | 0x2100..=0x214F | 0x2190..=0x23FF | 0x2400..=0x27BF | 0x27F0..=0x27FF | 0x2900..=0x2BFF
        | 0x1F000..=0x1FAFF)
}

/// A name of one label: a dash may stand behind its first character alone.
fn is_single_label(label: &str) -> bool {
    let mut chars = label.chars();
    if !chars.next().is_some_and(is_word) {
        return false;
    }
    let rest = chars.as_str();
    let rest = rest.strip_prefix('-').unwrap_or(rest);
    rest.chars().all(is_word) && rest.chars().count() <= 62
}

fn is_upper_label(label: &str) -> bool {
    let ends = label.starts_with(is_word) && label.ends_with(is_word);
    ends && label.chars().all(|c| c == '-' || is_word(c))
}

/// At least two characters, and no two dashes in a row.
fn is_last_label(label: &str) -> bool {
    is_upper_label(label) && !label.contains("--") && label.chars().filter(|c| *c != '-').count() >= 2
}

//! Semantic versions, as strict as upstream reads them.
//!
//! Upstream: github.com/blang/semver/v4 Parse; semver.org 2.0.0, sections 9 to 11.

use std::cmp::Ordering;

/// A version; what it was built from is checked and forgotten.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Version {
    numbers: [u64; 3],
    /// Empty for a release.
    before_release: Vec<Part>,
}

/// A part of what stands before a release: numbers come before words.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
enum Part {
    Number(u64),
    Word(String),
}

impl Version {
    /// Reads `MAJOR.MINOR.PATCH[-PRE][+BUILD]`.
    pub(super) fn parse(text: &str) -> Option<Self> {
        let (text, build) = text.split_once('+').map_or((text, None), |(text, build)| (text, Some(build)));
        let (text, before) = text.split_once('-').map_or((text, None), |(text, before)| (text, Some(before)));
        let mut parts = text.splitn(3, '.').map(number);
        let numbers = [parts.next()??, parts.next()??, parts.next()??];
        let before_release = before.map(|before| before.split('.').map(part).collect::<Option<Vec<_>>>());
        let is_word = |word: &str| !word.is_empty() && word.bytes().all(is_word_byte);
        if !build.is_none_or(|build| build.split('.').all(is_word)) {
            return None;
        }
        Some(Self { numbers, before_release: before_release.unwrap_or_else(|| Some(Vec::new()))? })
    }
}

fn is_word_byte(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || byte == b'-'
}

fn number(text: &str) -> Option<u64> {
    let has_leading_zero = text.len() > 1 && text.starts_with('0');
    let is_number = !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit()) && !has_leading_zero;
    if is_number { text.parse().ok() } else { None }
}

fn part(text: &str) -> Option<Part> {
    if text.bytes().all(|byte| byte.is_ascii_digit()) {
        number(text).map(Part::Number)
    } else {
        text.bytes().all(is_word_byte).then(|| Part::Word(text.to_owned()))
    }
}

impl Ord for Version {
    fn cmp(&self, other: &Self) -> Ordering {
        let by_release = || match (self.before_release.is_empty(), other.before_release.is_empty()) {
            // What stands before a release comes before it.
            (mine, others) if mine != others => mine.cmp(&others),
            _ => self.before_release.cmp(&other.before_release),
        };
        self.numbers.cmp(&other.numbers).then_with(by_release)
    }
}

impl PartialOrd for Version {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn versions_are_strict() {
        for text in ["1.35.0", "0.0.0", "1.0.0-alpha.1", "1.0.0-0.x-y+build.01", "1.0.0+a-b"] {
            assert!(Version::parse(text).is_some(), "{text}");
        }
        for text in [
            "",
            "1",
            "1.35",
            "v1.35.0",
            "01.0.0",
            "1.0.0.0",
            "1.0.0-",
            "1.0.0-01",
            "1.0.0-a..b",
            "1.0.0+",
            "1.0.0-\u{e9}",
        ] {
            assert!(Version::parse(text).is_none(), "{text}");
        }
    }

    /// The order of semver.org, section 11.
    #[test]
    fn versions_have_an_order() {
        let texts = [
            "1.0.0-alpha",
            "1.0.0-alpha.1",
            "1.0.0-alpha.beta",
            "1.0.0-beta",
            "1.0.0-beta.2",
            "1.0.0-beta.11",
            "1.0.0-rc.1",
            "1.0.0",
            "1.2.0",
            "1.10.0",
        ];
        let versions: Vec<Version> = texts.iter().map(|text| Version::parse(text).unwrap()).collect();
        assert!(versions.is_sorted());
        assert_eq!(Version::parse("1.0.0+a"), Version::parse("1.0.0+b"));
    }
}

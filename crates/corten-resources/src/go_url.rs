//! The parts of a URL as Go's parser sees them, with its words for what is none.
//!
//! Upstream: net/url Parse (Go 1.25), of which rules use scheme, user, host, query and fragment.

use std::fmt;

use corten_apimachinery::field::quote;

/// The parts of a URL.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct GoUrl<'t> {
    /// Before the colon.
    pub(crate) scheme: &'t str,
    /// Before the at sign, if there is one.
    pub(crate) user: Option<&'t str>,
    /// The host and its port.
    pub(crate) host: &'t str,
    /// Behind the question mark.
    pub(crate) query: &'t str,
    /// Behind the hash.
    pub(crate) fragment: &'t str,
}

/// Why a text is no URL.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum NoUrl {
    /// A control character.
    Control,
    /// A colon with nothing before it.
    NoScheme,
    /// A percent sign without two hexadecimal digits.
    Escape(String),
    /// A colon in the first segment of what is only a path.
    FirstSegment,
    /// What is behind the host's colon is no number.
    Port(String),
    /// A character that no host has.
    HostCharacter(char),
    /// A bracket is not closed.
    Bracket,
    /// A character that no user has.
    User,
}

impl fmt::Display for NoUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Control => f.write_str("net/url: invalid control character in URL"),
            Self::NoScheme => f.write_str("missing protocol scheme"),
            Self::Escape(text) => write!(f, "invalid URL escape {}", quote(text)),
            Self::FirstSegment => f.write_str("first path segment in URL cannot contain colon"),
            Self::Port(port) => write!(f, "invalid port {} after host", quote(port)),
            Self::HostCharacter(c) => write!(f, "invalid character {} in host name", quote(&c.to_string())),
            Self::Bracket => f.write_str("missing ']' in host"),
            Self::User => f.write_str("net/url: invalid userinfo"),
        }
    }
}

impl<'t> GoUrl<'t> {
    /// Takes a text apart.
    pub(crate) fn parse(text: &'t str) -> Result<Self, NoUrl> {
        if text.bytes().any(|byte| byte < b' ' || byte == 0x7f) {
            return Err(NoUrl::Control);
        }
        let (text, fragment) = text.split_once('#').unwrap_or((text, ""));
        check_escapes(fragment)?;
        let (scheme, rest) = split_scheme(text)?;
        let (rest, query) = rest.split_once('?').unwrap_or((rest, ""));
        let mut url = GoUrl { scheme, user: None, host: "", query, fragment };
        let path = match rest.strip_prefix("//") {
            Some(rest) if !rest.starts_with("//") || !scheme.is_empty() => {
                let (authority, path) = rest.split_at(rest.find('/').unwrap_or(rest.len()));
                (url.user, url.host) = split_authority(authority)?;
                path
            }
            _ if !rest.starts_with('/') && !scheme.is_empty() => return Ok(url),
            _ => {
                if scheme.is_empty() && rest.split('/').next().is_some_and(|segment| segment.contains(':')) {
                    return Err(NoUrl::FirstSegment);
                }
                rest
            }
        };
        check_escapes(path)?;
        Ok(url)
    }
}

/// The text with its percent escapes read; those that are none stay.
pub(crate) fn unescaped(text: &str) -> String {
    let (bytes, mut out, mut at) = (text.as_bytes(), Vec::with_capacity(text.len()), 0);
    while let Some(&byte) = bytes.get(at) {
        match hex_pair(bytes.get(at + 1..at + 3)) {
            Some(read) if byte == b'%' => {
                out.push(read);
                at += 3;
            }
            _ => {
                out.push(byte);
                at += 1;
            }
        }
    }
    String::from_utf8_lossy(&out).into_owned()
}

fn hex_pair(digits: Option<&[u8]>) -> Option<u8> {
    let text = std::str::from_utf8(digits?).ok()?;
    if text.bytes().all(|byte| byte.is_ascii_hexdigit()) { u8::from_str_radix(text, 16).ok() } else { None }
}

fn check_escapes(text: &str) -> Result<(), NoUrl> {
    let bytes = text.as_bytes();
    for (at, _) in text.match_indices('%') {
        if hex_pair(bytes.get(at + 1..at + 3)).is_none() {
            let shown = &bytes[at..bytes.len().min(at + 3)];
            return Err(NoUrl::Escape(String::from_utf8_lossy(shown).into_owned()));
        }
    }
    Ok(())
}

fn split_scheme(text: &str) -> Result<(&str, &str), NoUrl> {
    for (at, c) in text.char_indices() {
        match c {
            'a'..='z' | 'A'..='Z' => {}
            '0'..='9' | '+' | '-' | '.' if at > 0 => {}
            ':' if at == 0 => return Err(NoUrl::NoScheme),
            ':' => return Ok((&text[..at], &text[at + 1..])),
            // What cannot be in a scheme ends the search: there is none.
            _ => break,
        }
    }
    Ok(("", text))
}

fn split_authority(authority: &str) -> Result<(Option<&str>, &str), NoUrl> {
    let (user, host) = match authority.rsplit_once('@') {
        Some((user, host)) => (Some(user), host),
        None => (None, authority),
    };
    if let Some(user) = user {
        let is_fine = |c: char| c.is_ascii_alphanumeric() || "-._:~!$&'()*+,;=%@".contains(c);
        if !user.chars().all(is_fine) {
            return Err(NoUrl::User);
        }
        check_escapes(user)?;
    }
    check_host(host)?;
    Ok((user, host))
}

fn check_host(host: &str) -> Result<(), NoUrl> {
    let port_at = if host.starts_with('[') {
        host.rfind(']').ok_or(NoUrl::Bracket)? + 1
    } else {
        host.rfind(':').unwrap_or(host.len())
    };
    let port = &host[port_at..];
    let is_port =
        port.is_empty() || port.strip_prefix(':').is_some_and(|digits| digits.bytes().all(|b| b.is_ascii_digit()));
    if !is_port {
        return Err(NoUrl::Port(port.to_owned()));
    }
    let is_fine = |c: char| c.is_ascii_alphanumeric() || !c.is_ascii() || "-_.~!$&'()*+,;=:[]<>\"%".contains(c);
    match host.chars().find(|c| !is_fine(*c)) {
        Some(c) => Err(NoUrl::HostCharacter(c)),
        None => check_escapes(host),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_url_comes_apart() {
        let url = GoUrl::parse("https://user:pw@host.example:8443/a/b?c=d#e%20f").unwrap();
        let want = GoUrl {
            scheme: "https",
            user: Some("user:pw"),
            host: "host.example:8443",
            query: "c=d",
            fragment: "e%20f",
        };
        assert_eq!(url, want);
        assert_eq!(unescaped(url.fragment), "e f");
        for (text, scheme, host) in [
            ("", "", ""),
            ("host/path", "", ""),
            ("https:host", "https", ""),
            ("//h/p", "", "h"),
            ("https://[::1]:1/", "https", "[::1]:1"),
        ] {
            let url = GoUrl::parse(text).unwrap();
            assert_eq!((url.scheme, url.host), (scheme, host), "{text}");
        }
    }

    #[test]
    fn what_is_no_url_is_said_in_gos_words() {
        for (text, want) in [
            ("a\u{1}b", "net/url: invalid control character in URL"),
            (":a", "missing protocol scheme"),
            ("https://h/%zz", "invalid URL escape \"%zz\""),
            ("https://h:port/", "invalid port \":port\" after host"),
            ("https://a b/", "invalid character \" \" in host name"),
            ("https://[::1/", "missing ']' in host"),
            ("https://u\u{e9}@h/", "net/url: invalid userinfo"),
            ("a/b:c", ""),
            ("1:b", "first path segment in URL cannot contain colon"),
        ] {
            let have = GoUrl::parse(text).err().map(|error| error.to_string()).unwrap_or_default();
            assert_eq!(have, want, "{text}");
        }
    }
}

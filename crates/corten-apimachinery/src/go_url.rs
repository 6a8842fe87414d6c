//! URLs as Go reads them, with Go's words for what is none: rules, formats and expressions take what Go takes.
//!
//! Between brackets only addresses of version 6 stand, and nothing before them, as in Go since its patches of 2025 and 2026. Of
//! one that is none, Go tells more than is told here.
//! Upstream: `Parse`, `ParseRequestURI` and their like in Go's net/url (Go 1.25).

use std::net::{IpAddr, Ipv6Addr};

use crate::field::quote;

/// The parts of a URL.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct GoUrl {
    /// Before the first colon, in lower case.
    pub scheme: String,
    /// All behind a scheme that no slash follows, up to the query.
    pub opaque: String,
    /// Before the at sign, as it was written; `None` if there is no such sign.
    pub user: Option<String>,
    /// The host and its port, without escapes.
    pub host: String,
    /// The path, with escapes where it needs them.
    pub escaped_path: String,
    /// Behind the question mark, as it was written.
    pub raw_query: String,
    /// Behind the hash, without escapes.
    pub fragment: String,
}

/// Why a text is no URL.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum NoUrl {
    /// There is nothing.
    #[error("empty url")]
    Empty,
    /// A control character.
    #[error("net/url: invalid control character in URL")]
    Control,
    /// A colon with nothing before it.
    #[error("missing protocol scheme")]
    NoScheme,
    /// A request is for an absolute URL, or for a path from the root.
    #[error("invalid URI for request")]
    Relative,
    /// A colon in the first segment of what is only a path.
    #[error("first path segment in URL cannot contain colon")]
    FirstSegment,
    /// A percent sign without two hexadecimal digits, or of a byte that is not escaped there.
    #[error("invalid URL escape {}", quote_bytes(.0))]
    Escape(Vec<u8>),
    /// A character that no user has.
    #[error("net/url: invalid userinfo")]
    User,
    /// A character that no host has.
    #[error("invalid character {} in host name", quote(&.0.to_string()))]
    HostCharacter(char),
    /// A bracket is not closed.
    #[error("missing ']' in host")]
    Bracket,
    /// Behind the host's colon stands no number.
    #[error("invalid port {} after host", quote(.0))]
    Port(String),
    /// What is between brackets is no address.
    #[error("invalid host: ParseAddr({}): unable to parse IP", quote(.0))]
    Address(String),
    /// Brackets around an address of version 4, or behind something else.
    #[error("invalid IP-literal")]
    Literal,
}

/// Go quotes single bytes of a character that is cut.
fn quote_bytes(bytes: &[u8]) -> String {
    let mut out = String::from("\"");
    for chunk in bytes.utf8_chunks() {
        let quoted = quote(chunk.valid());
        out.push_str(&quoted[1..quoted.len() - 1]);
        out.extend(chunk.invalid().iter().map(|byte| format!("\\x{byte:02x}")));
    }
    out.push('"');
    out
}

impl GoUrl {
    /// Reads a URL of any kind, relative ones too.
    ///
    /// Errors: why it is none.
    pub fn parse(text: &str) -> Result<Self, NoUrl> {
        let (before, fragment) = text.split_once('#').unwrap_or((text, ""));
        let url = Self::read(before, false)?;
        let fragment = String::from_utf8_lossy(&unescape(fragment, Part::Other)?).into_owned();
        Ok(Self { fragment, ..url })
    }

    /// Reads what a request may be for: an absolute URL, or a path from the root. It has no fragment.
    ///
    /// Errors: why it is neither.
    pub fn parse_request(text: &str) -> Result<Self, NoUrl> {
        Self::read(text, true)
    }

    fn read(text: &str, is_request: bool) -> Result<Self, NoUrl> {
        if text.bytes().any(|byte| byte < b' ' || byte == 0x7f) {
            return Err(NoUrl::Control);
        }
        if text.is_empty() && is_request {
            return Err(NoUrl::Empty);
        }
        let mut url = Self::default();
        if text == "*" {
            url.escaped_path = text.to_owned();
            return Ok(url);
        }
        let (scheme, rest) = split_scheme(text)?;
        let (mut rest, query) = rest.split_once('?').unwrap_or((rest, ""));
        url.scheme = scheme.to_ascii_lowercase();
        url.raw_query = query.to_owned();
        if !rest.starts_with('/') {
            if !scheme.is_empty() {
                url.opaque = rest.to_owned();
                return Ok(url);
            }
            if is_request {
                return Err(NoUrl::Relative);
            }
            if rest.split('/').next().is_some_and(|segment| segment.contains(':')) {
                return Err(NoUrl::FirstSegment);
            }
        }
        let may_have_host = !scheme.is_empty() || !is_request && !rest.starts_with("///");
        if let Some(behind) = rest.strip_prefix("//").filter(|_| may_have_host) {
            let (authority, path) = behind.split_at(behind.find('/').unwrap_or(behind.len()));
            (url.user, url.host) = split_authority(authority)?;
            rest = path;
        }
        let path = unescape(rest, Part::Other)?;
        url.escaped_path = if is_encoded(rest) { rest.to_owned() } else { escape_path(&path) };
        Ok(url)
    }

    /// The host without its port and brackets.
    #[must_use]
    pub fn hostname(&self) -> &str {
        self.split_host().0
    }

    /// The port, or nothing.
    #[must_use]
    pub fn port(&self) -> &str {
        self.split_host().1
    }

    fn split_host(&self) -> (&str, &str) {
        if let Some(rest) = self.host.strip_prefix('[')
            && let Some((inner, after)) = rest.split_once(']')
        {
            return (inner, after.strip_prefix(':').unwrap_or(""));
        }
        self.host.rsplit_once(':').unwrap_or((&self.host, ""))
    }

    /// The query's keys and values in order; what cannot be read is left out.
    pub fn query(&self) -> impl Iterator<Item = (String, String)> + '_ {
        self.raw_query.split('&').filter(|pair| !pair.is_empty() && !pair.contains(';')).filter_map(|pair| {
            let (key, value) = pair.split_once('=').unwrap_or((pair, ""));
            Some((query_text(key)?, query_text(value)?))
        })
    }
}

/// The scheme, empty if there is none, and what stands behind its colon.
fn split_scheme(text: &str) -> Result<(&str, &str), NoUrl> {
    for (at, byte) in text.bytes().enumerate() {
        match byte {
            b'a'..=b'z' | b'A'..=b'Z' => {}
            b'0'..=b'9' | b'+' | b'-' | b'.' if at > 0 => {}
            b':' if at == 0 => return Err(NoUrl::NoScheme),
            b':' => return Ok((&text[..at], &text[at + 1..])),
            // What cannot be in a scheme ends the search: there is none.
            _ => break,
        }
    }
    Ok(("", text))
}

fn split_authority(authority: &str) -> Result<(Option<String>, String), NoUrl> {
    let (user, host) = match authority.rsplit_once('@') {
        Some((user, host)) => (Some(user), host),
        None => (None, authority),
    };
    let host = read_host(host)?;
    if let Some(user) = user {
        let is_user_byte = |byte: u8| byte.is_ascii_alphanumeric() || b"-._:~!$&'()*+,;=%@".contains(&byte);
        if !user.bytes().all(is_user_byte) {
            return Err(NoUrl::User);
        }
        unescape(user, Part::Other)?;
    }
    Ok((user.map(str::to_owned), host))
}

fn read_host(host: &str) -> Result<String, NoUrl> {
    let text = |text: &str, part| Ok(String::from_utf8_lossy(&unescape(text, part)?).into_owned());
    let Some(open) = host.rfind('[') else {
        check_port(host.rfind(':').map_or("", |at| &host[at..]))?;
        return text(host, Part::Host);
    };
    if open > 0 {
        return Err(NoUrl::Literal);
    }
    let close = host.rfind(']').ok_or(NoUrl::Bracket)?;
    let (literal, port) = (&host[1..close], &host[close + 1..]);
    check_port(port)?;
    // The percent sign before a zone is escaped.
    let (address, zone) = literal.split_at(literal.find("%25").unwrap_or(literal.len()));
    let literal = text(address, Part::Host)? + &text(zone, Part::Zone)?;
    let (address, zone) = literal.split_once('%').map_or((&*literal, None), |(address, zone)| (address, Some(zone)));
    if zone != Some("") && address.parse::<Ipv6Addr>().is_ok() {
        return Ok(format!("[{literal}]{port}"));
    }
    let is_version_4 = zone.is_none() && address.parse::<IpAddr>().is_ok();
    Err(if is_version_4 { NoUrl::Literal } else { NoUrl::Address(literal) })
}

/// Nothing, or a colon and digits.
fn check_port(text: &str) -> Result<(), NoUrl> {
    let is_port =
        text.is_empty() || text.strip_prefix(':').is_some_and(|port| port.bytes().all(|b| b.is_ascii_digit()));
    if is_port { Ok(()) } else { Err(NoUrl::Port(text.to_owned())) }
}

/// Where escapes stand.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Part {
    /// Only bytes beyond ASCII are escaped, and the percent sign itself; of ASCII, not all may stand there.
    Host,
    /// The zone of an address: what may stand in a host may be escaped as well, and blanks.
    Zone,
    /// Everything may be escaped.
    Other,
}

fn is_host_byte(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || b"-_.~!$&'()*+,;=:[]<>\"".contains(&byte)
}

/// The bytes with their escapes resolved.
fn unescape(text: &str, part: Part) -> Result<Vec<u8>, NoUrl> {
    let bytes = text.as_bytes();
    let (mut out, mut at) = (Vec::with_capacity(bytes.len()), 0);
    while let Some(&byte) = bytes.get(at) {
        if byte != b'%' {
            if part != Part::Other && byte.is_ascii() && !is_host_byte(byte) {
                return Err(NoUrl::HostCharacter(byte.into()));
            }
            out.push(byte);
            at += 1;
            continue;
        }
        let escape = &bytes[at..bytes.len().min(at + 3)];
        let refused = || NoUrl::Escape(escape.to_vec());
        let value = hex_pair(&escape[1..]).ok_or_else(refused)?;
        let may_be_escaped = match part {
            Part::Host => !value.is_ascii() || value == b'%',
            Part::Zone => is_host_byte(value) || matches!(value, b'%' | b' '),
            Part::Other => true,
        };
        if !may_be_escaped {
            return Err(refused());
        }
        out.push(value);
        at += 3;
    }
    Ok(out)
}

fn hex_pair(digits: &[u8]) -> Option<u8> {
    let [high, low] = digits else { return None };
    let digit = |byte: u8| char::from(byte).to_digit(16);
    // Two digits of four bits each.
    Some((digit(*high)? * 16 + digit(*low)?) as u8)
}

/// Whether a path is written as it may stand in a URL, so that it need not be written again.
fn is_encoded(path: &str) -> bool {
    path.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-_.~!$&'()*+,;=:@[]%/".contains(&byte))
}

fn escape_path(path: &[u8]) -> String {
    let mut out = String::with_capacity(path.len());
    for &byte in path {
        if byte.is_ascii_alphanumeric() || b"-_.~$&+,/:;=@".contains(&byte) {
            out.push(byte.into());
        } else {
            out.push_str(&format!("%{byte:02X}"));
        }
    }
    out
}

fn query_text(text: &str) -> Option<String> {
    let bytes = unescape(&text.replace('+', " "), Part::Other).ok()?;
    Some(String::from_utf8_lossy(&bytes).into_owned())
}

#[cfg(test)]
mod tests;

//! URLs as Go reads them.
//!
//! Upstream: Go's net/url, ParseRequestURI and then Parse.

/// An absolute URL or path, in parts.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Url {
    pub(super) scheme: String,
    /// What stands behind a scheme without slashes.
    rootless: String,
    user: Option<String>,
    /// With its port.
    pub(super) host: String,
    pub(super) escaped_path: String,
    raw_query: String,
    fragment: String,
}

/// Reads `text`.
///
/// Errors: why it is no URL, in Go's words.
pub(super) fn parse(text: &str) -> Result<Url, String> {
    if text.bytes().any(|byte| byte < b' ' || byte == 0x7f) {
        return Err("net/url: invalid control character in URL".to_owned());
    }
    if text.is_empty() {
        return Err("empty url".to_owned());
    }
    // The request form has no fragment, so a path or query with a broken escape behind the mark is refused as well.
    parts(text, "")?;
    let (before, fragment) = text.split_once('#').unwrap_or((text, ""));
    unescape(fragment, false)?;
    parts(before, fragment)
}

fn parts(text: &str, fragment: &str) -> Result<Url, String> {
    let (scheme, rest) = scheme(text)?;
    let mut url = Url {
        scheme: scheme.to_ascii_lowercase(),
        rootless: String::new(),
        user: None,
        host: String::new(),
        escaped_path: String::new(),
        raw_query: String::new(),
        fragment: fragment.to_owned(),
    };
    let (mut rest, query) = rest.split_once('?').unwrap_or((rest, ""));
    query.clone_into(&mut url.raw_query);
    if text == "*" {
        url.escaped_path = "*".to_owned();
        return Ok(url);
    }
    if !rest.starts_with('/') {
        if url.scheme.is_empty() {
            return Err("invalid URI for request".to_owned());
        }
        rest.clone_into(&mut url.rootless);
        return Ok(url);
    }
    if !url.scheme.is_empty()
        && let Some(authority) = rest.strip_prefix("//")
    {
        let end = authority.find('/').unwrap_or(authority.len());
        let host = match authority[..end].rsplit_once('@') {
            Some((user, host)) => {
                if !user.bytes().all(is_user_byte) {
                    return Err("net/url: invalid userinfo".to_owned());
                }
                unescape(user, false)?;
                url.user = Some(user.to_owned());
                host
            }
            None => &authority[..end],
        };
        url.host = parse_host(host)?;
        rest = &authority[end..];
    }
    let path = unescape(rest, false)?;
    url.escaped_path = if is_encoded_path(rest) { rest.to_owned() } else { escape_path(&path) };
    Ok(url)
}

fn scheme(text: &str) -> Result<(&str, &str), String> {
    for (at, byte) in text.bytes().enumerate() {
        match byte {
            b'a'..=b'z' | b'A'..=b'Z' => {}
            b'0'..=b'9' | b'+' | b'-' | b'.' if at > 0 => {}
            b':' if at == 0 => return Err("missing protocol scheme".to_owned()),
            b':' => return Ok((&text[..at], &text[at + 1..])),
            _ => break,
        }
    }
    Ok(("", text))
}

fn is_user_byte(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || b"-._:~!$&'()*+,;=%@".contains(&byte)
}

fn parse_host(host: &str) -> Result<String, String> {
    let port = if host.starts_with('[') {
        let end = host.rfind(']').ok_or_else(|| "missing ']' in host".to_owned())?;
        &host[end + 1..]
    } else {
        host.rfind(':').map_or("", |at| &host[at..])
    };
    let digits = port.strip_prefix(':').unwrap_or(port);
    if (!port.is_empty() && !port.starts_with(':')) || !digits.bytes().all(|byte| byte.is_ascii_digit()) {
        return Err(format!("invalid port {port:?} after host"));
    }
    unescape(host, true).map(|bytes| String::from_utf8_lossy(&bytes).into_owned())
}

/// Resolves percent escapes. In a host only those of bytes beyond ASCII, and the percent sign itself, may be escaped.
fn unescape(text: &str, host: bool) -> Result<Vec<u8>, String> {
    let bytes = text.as_bytes();
    let mut out = Vec::with_capacity(bytes.len());
    let mut at = 0;
    while at < bytes.len() {
        let byte = bytes[at];
        if byte == b'%' {
            let digit = |index: usize| bytes.get(index).and_then(|byte| char::from(*byte).to_digit(16));
            let (Some(high), Some(low)) = (digit(at + 1), digit(at + 2)) else {
                let end = text.floor_char_boundary((at + 3).min(text.len()));
                return Err(format!("invalid URL escape {:?}", &text[at..end.max(at + 1)]));
            };
            if host && high < 8 && (high, low) != (2, 5) {
                return Err(format!("invalid URL escape {:?}", &text[at..at + 3]));
            }
            // Two digits of four bits each.
            out.push((high * 16 + low) as u8);
            at += 3;
            continue;
        }
        if host && byte < 0x80 && !(byte.is_ascii_alphanumeric() || b"-_.~!$&'()*+,;=:[]<>\"".contains(&byte)) {
            return Err(format!("invalid character {:?} in host name", char::from(byte).to_string()));
        }
        out.push(byte);
        at += 1;
    }
    Ok(out)
}

/// Whether a path is written as it may stand in a URL, so that it need not be written again.
fn is_encoded_path(path: &str) -> bool {
    path.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-_.~!$&'()*+,;=:@[]%/".contains(&byte))
}

fn escape_path(path: &[u8]) -> String {
    let mut out = String::with_capacity(path.len());
    for byte in path {
        if byte.is_ascii_alphanumeric() || b"-_.~$&+,/:;=@".contains(byte) {
            out.push(char::from(*byte));
        } else {
            out.push_str(&format!("%{byte:02X}"));
        }
    }
    out
}

impl Url {
    /// The host without its port and brackets.
    pub(super) fn hostname(&self) -> &str {
        self.split_host().0
    }

    /// The port, or nothing.
    pub(super) fn port(&self) -> &str {
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
    pub(super) fn query(&self) -> impl Iterator<Item = (String, String)> + '_ {
        self.raw_query.split('&').filter(|pair| !pair.is_empty() && !pair.contains(';')).filter_map(|pair| {
            let (key, value) = pair.split_once('=').unwrap_or((pair, ""));
            Some((query_text(key)?, query_text(value)?))
        })
    }
}

fn query_text(text: &str) -> Option<String> {
    let bytes = unescape(&text.replace('+', " "), false).ok()?;
    Some(String::from_utf8_lossy(&bytes).into_owned())
}

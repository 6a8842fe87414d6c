//! Addresses of mail, as Go's `net/mail.ParseAddress` takes them: with or without a name.

/// One address: `a@example.com`, `Ann <a@example.com>`, `"Ann B." <a@example.com>`.
pub(super) fn is_address(text: &str) -> bool {
    let text = text.trim_matches([' ', '\t']);
    match text.strip_suffix('>').and_then(|rest| rest.rsplit_once('<')) {
        Some((name, address)) => is_phrase(name.trim_matches([' ', '\t'])) && is_addr_spec(address),
        None => is_addr_spec(text),
    }
}

/// A local part and a domain.
fn is_addr_spec(text: &str) -> bool {
    let Some((local, domain)) = text.rsplit_once('@') else { return false };
    (is_dot_atom(local) || is_quoted(local)) && (is_dot_atom(domain) || is_domain_literal(domain))
}

/// Words, or texts in quotes; dots may stand in words of old.
fn is_phrase(text: &str) -> bool {
    text.is_empty()
        || is_quoted(text)
        || text
            .split([' ', '\t'])
            .filter(|word| !word.is_empty())
            .all(|word| is_quoted(word) || word.chars().all(|c| is_atom_char(c) || c == '.'))
}

fn is_dot_atom(text: &str) -> bool {
    text.split('.').all(|atom| !atom.is_empty() && atom.chars().all(is_atom_char))
}

fn is_atom_char(c: char) -> bool {
    !c.is_ascii() || c.is_ascii_alphanumeric() || "!#$%&'*+-/=?^_`{|}~".contains(c)
}

fn is_quoted(text: &str) -> bool {
    let Some(inner) = text.strip_prefix('"').and_then(|rest| rest.strip_suffix('"')) else { return false };
    let mut is_escaped = false;
    for c in inner.chars() {
        match c {
            _ if is_escaped => is_escaped = false,
            '\\' => is_escaped = true,
            '"' => return false,
            c if c.is_control() && c != '\t' => return false,
            _ => {}
        }
    }
    !is_escaped && text.len() >= 2
}

/// An address of IP in brackets.
fn is_domain_literal(text: &str) -> bool {
    let inner = text.strip_prefix('[').and_then(|rest| rest.strip_suffix(']'));
    inner.is_some_and(|address| address.parse::<std::net::IpAddr>().is_ok())
}

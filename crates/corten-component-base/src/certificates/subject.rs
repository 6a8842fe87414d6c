//! Whom a certificate, or a request for one, is for.
//!
//! One reading for all: who approves a request, who signs it and who believes the certificate must not see different names
//! in the same bytes.
//! Upstream: Go's crypto/x509 `parseName` and crypto/x509/pkix `FillFromRDNSequence`.

use x509_parser::{
    der_parser::asn1_rs::Tag,
    x509::{AttributeTypeAndValue, X509Name},
};

/// The parts of a subject that Kubernetes knows.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Subject {
    /// All common names, in the order of the subject.
    pub common_names: Vec<String>,
    /// The groups, in the order of the subject.
    pub organizations: Vec<String>,
}

/// A name in a subject is not text.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("invalid attribute value in the subject")]
pub struct UnreadableName;

impl Subject {
    /// Reads a subject.
    ///
    /// Errors: a common name or an organization is not text. It is not left out: with it another name would be the last.
    pub fn read(name: &X509Name<'_>) -> Result<Self, UnreadableName> {
        Ok(Self {
            common_names: name.iter_common_name().map(text).collect::<Result<_, _>>()?,
            organizations: name.iter_organization().map(text).collect::<Result<_, _>>()?,
        })
    }

    /// The user: of several common names the last, as in Go. Empty if there is none.
    #[must_use]
    pub fn common_name(&self) -> &str {
        self.common_names.last().map(String::as_str).unwrap_or_default()
    }
}

fn text(attribute: &AttributeTypeAndValue<'_>) -> Result<String, UnreadableName> {
    let value = attribute.attr_value();
    let bytes = attribute.as_slice();
    if !value.header.is_universal() || !value.header.is_primitive() {
        return Err(UnreadableName);
    }
    match value.tag() {
        // Latin-1, nearly.
        Tag::T61String => Ok(bytes.iter().map(|byte| char::from(*byte)).collect()),
        Tag::BmpString if bytes.len().is_multiple_of(2) => {
            let units: Vec<u16> = bytes.chunks_exact(2).map(|pair| u16::from_be_bytes([pair[0], pair[1]])).collect();
            let units = units.strip_suffix(&[0]).unwrap_or(&units);
            String::from_utf16(units).map_err(|_| UnreadableName)
        }
        _ => attribute.as_str().map(str::to_owned).map_err(|_| UnreadableName),
    }
}

#[cfg(test)]
mod tests {
    use x509_parser::prelude::FromDer as _;

    use super::*;

    const COMMON_NAME: u8 = 3;
    const ORGANIZATION: u8 = 10;

    fn value(tag: u8, content: &[u8]) -> Vec<u8> {
        [&[tag, u8::try_from(content.len()).unwrap()], content].concat()
    }

    /// A subject of attributes `2.5.4.x`, each with its tag and content.
    fn subject(attributes: &[(u8, u8, &[u8])]) -> Result<Subject, UnreadableName> {
        let sets = attributes.iter().map(|&(kind, tag, content)| {
            let attribute = [value(6, &[0x55, 4, kind]), value(tag, content)].concat();
            value(0x31, &value(0x30, &attribute))
        });
        let der = value(0x30, &sets.collect::<Vec<_>>().concat());
        let (_, name) = X509Name::from_der(&der).unwrap();
        Subject::read(&name)
    }

    /// The bug was that the server took the first common name, and the approver the last.
    #[test]
    fn the_last_common_name_is_the_user() {
        let read =
            subject(&[(COMMON_NAME, 12, b"system:kube-controller-manager"), (COMMON_NAME, 12, b"system:node:me")]);
        assert_eq!(read.unwrap().common_name(), "system:node:me");
        assert_eq!(subject(&[(ORGANIZATION, 12, b"g")]).unwrap().common_name(), "");
    }

    #[test]
    fn names_are_read_as_go_reads_them_or_not_at_all() {
        let check = |tag: u8, content: &[u8], want: Option<&str>| {
            let last = subject(&[(COMMON_NAME, 12, b"first"), (COMMON_NAME, tag, content)]);
            assert_eq!(last.as_ref().ok().map(Subject::common_name), want, "{tag} {content:?}");
            let group = subject(&[(ORGANIZATION, tag, content)]);
            assert_eq!(group.ok().map(|group| group.organizations.concat()).as_deref(), want, "{tag} {content:?}");
        };
        check(12, "j\u{fc}rgen".as_bytes(), Some("j\u{fc}rgen"));
        check(12, b"j\xfcrgen", None);
        check(19, b"bob", Some("bob"));
        check(22, b"bob", Some("bob"));
        check(20, b"j\xfcrgen", Some("j\u{fc}rgen"));
        check(30, b"\0b\0o\0b", Some("bob"));
        check(30, b"\0b\0o\0b\0\0", Some("bob"));
        check(30, b"\0b\0", None);
        check(30, &[0xd8, 0], None);
        check(4, b"bob", None);
        // A tag of another class.
        check(0x8c, b"bob", None);
    }
}

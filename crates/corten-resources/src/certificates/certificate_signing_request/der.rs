//! What Go says of a certificate request that is no DER: its frame is read as Go reads it, what is in it by others.
//!
//! Upstream: `ParseCertificateRequest` in Go's crypto/x509 and `Unmarshal` in encoding/asn1 (Go 1.25), which
//! pkg/apis/certificates (v1.35) calls.

/// What stands somewhere in the frame.
#[derive(Debug, Clone, Copy)]
enum Form {
    /// A sequence: its name in Go, and what it has. More may follow.
    Struct(&'static str, &'static [Form]),
    /// A number of up to 64 bits.
    Int,
    Oid,
    Bits,
    /// Anything.
    Raw,
    /// Anything or nothing.
    Optional,
    /// A list of anything, which a context names by its first number.
    Attributes,
}

const ALGORITHM: Form = Form::Struct("AlgorithmIdentifier", &[Form::Oid, Form::Optional]);
const KEY: Form = Form::Struct("publicKeyInfo", &[ALGORITHM, Form::Bits]);
const INFO: Form = Form::Struct("tbsCertificateRequest", &[Form::Int, Form::Raw, KEY, Form::Attributes]);
const REQUEST: Form = Form::Struct("certificateRequest", &[INFO, ALGORITHM, Form::Bits]);

/// Looks at the frame of the request in `bytes`.
///
/// Errors: it is none, in Go's words.
pub(super) fn check(bytes: &[u8]) -> Result<(), String> {
    let end = field(REQUEST, bytes, 0)?;
    if end < bytes.len() { Err(syntax("trailing data")) } else { Ok(()) }
}

fn syntax(why: &str) -> String {
    format!("asn1: syntax error: {why}")
}

fn structure(why: &str) -> String {
    format!("asn1: structure error: {why}")
}

/// What stands before a value.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Header {
    class: u8,
    tag: u32,
    length: usize,
    is_compound: bool,
}

/// Reads what begins at `at`; returns where it ends.
fn field(form: Form, bytes: &[u8], at: usize) -> Result<usize, String> {
    if at == bytes.len() {
        return if matches!(form, Form::Optional) { Ok(at) } else { Err(syntax("sequence truncated")) };
    }
    let (found, start) = header(bytes, at)?;
    let (class, wanted, name) = match form {
        Form::Raw | Form::Optional => (found.class, (found.tag, found.is_compound), ""),
        Form::Struct(name, _) => (0, (16, true), name),
        Form::Int => (0, (2, false), "int"),
        Form::Oid => (0, (6, false), "ObjectIdentifier"),
        Form::Bits => (0, (3, false), "BitString"),
        Form::Attributes => (2, (0, true), ""),
    };
    if (found.class, (found.tag, found.is_compound)) != (class, wanted) {
        return Err(mismatch(wanted.0, found, matches!(form, Form::Attributes), name, start));
    }
    let content = start.checked_add(found.length).and_then(|end| bytes.get(start..end));
    let content = content.ok_or_else(|| syntax("data truncated"))?;
    match form {
        Form::Struct(_, fields) => {
            fields.iter().try_fold(0, |at, form| field(*form, content, at))?;
        }
        Form::Int => number(content)?,
        Form::Oid => identifier(content)?,
        Form::Bits => bits(content)?,
        Form::Attributes => all_of(content)?,
        Form::Raw | Form::Optional => {}
    }
    Ok(start + found.length)
}

/// Go shows all that it knows of a field, also where its own memory has the tag of it, which nobody can say beforehand.
fn mismatch(wanted: u32, found: Header, has_tag: bool, name: &str, at: usize) -> String {
    let Header { class, tag, length, is_compound } = found;
    let of_field = if has_tag { "0x0" } else { "<nil>" };
    structure(&format!(
        "tags don't match ({wanted} vs {{class:{class} tag:{tag} length:{length} isCompound:{is_compound}}}) \
         {{optional:false explicit:false application:false private:false defaultValue:<nil> tag:{of_field} stringType:0 \
         timeType:0 set:false omitEmpty:false}} {name} @{at}"
    ))
}

/// Reads the header at `at`, where there is at least one byte; returns where the value begins.
fn header(bytes: &[u8], at: usize) -> Result<(Header, usize), String> {
    let truncated = || syntax("truncated tag or length");
    let (first, mut at) = (bytes[at], at + 1);
    let mut tag = u32::from(first & 0x1f);
    if tag == 0x1f {
        (tag, at) = base_128(bytes, at)?;
        if tag < 0x1f {
            return Err(syntax("non-minimal tag"));
        }
    }
    let byte = *bytes.get(at).ok_or_else(truncated)?;
    at += 1;
    let mut length = usize::from(byte & 0x7f);
    if byte & 0x80 != 0 {
        if length == 0 {
            return Err(syntax("indefinite length found (not DER)"));
        }
        for _ in 0..std::mem::take(&mut length) {
            let byte = *bytes.get(at).ok_or_else(truncated)?;
            at += 1;
            if length >= 1 << 23 {
                return Err(structure("length too large"));
            }
            length = length << 8 | usize::from(byte);
            if length == 0 {
                return Err(structure("superfluous leading zeros in length"));
            }
        }
        if length < 0x80 {
            return Err(structure("non-minimal length"));
        }
    }
    Ok((Header { class: first >> 6, tag, length, is_compound: first & 0x20 != 0 }, at))
}

/// A number of seven bits a byte, of which the last has no eighth.
fn base_128(bytes: &[u8], start: usize) -> Result<(u32, usize), String> {
    let mut number: u64 = 0;
    for (count, byte) in bytes.iter().skip(start).enumerate() {
        // Five bytes are more than 31 bits.
        if count == 5 {
            return Err(structure("base 128 integer too large"));
        }
        if count == 0 && *byte == 0x80 {
            return Err(syntax("integer is not minimally encoded"));
        }
        number = number << 7 | u64::from(byte & 0x7f);
        if byte & 0x80 == 0 {
            let number = u32::try_from(number).ok().filter(|number| i32::try_from(*number).is_ok());
            return match number {
                Some(number) => Ok((number, start + count + 1)),
                None => Err(structure("base 128 integer too large")),
            };
        }
    }
    Err(syntax("truncated base 128 integer"))
}

fn number(content: &[u8]) -> Result<(), String> {
    match content {
        [] => Err(structure("empty integer")),
        [0, next, ..] if next & 0x80 == 0 => Err(structure("integer not minimally-encoded")),
        [0xff, next, ..] if next & 0x80 != 0 => Err(structure("integer not minimally-encoded")),
        content if content.len() > 8 => Err(structure("integer too large")),
        _ => Ok(()),
    }
}

fn identifier(content: &[u8]) -> Result<(), String> {
    if content.is_empty() {
        return Err(syntax("zero length OBJECT IDENTIFIER"));
    }
    let mut at = 0;
    while at < content.len() {
        (_, at) = base_128(content, at)?;
    }
    Ok(())
}

fn bits(content: &[u8]) -> Result<(), String> {
    let Some((&padding, bits)) = content.split_first() else { return Err(syntax("zero length BIT STRING")) };
    let is_wrong = match bits.last() {
        _ if padding > 7 => true,
        None => padding > 0,
        Some(last) => last & ((1 << padding) - 1) != 0,
    };
    if is_wrong { Err(syntax("invalid padding bits in BIT STRING")) } else { Ok(()) }
}

fn all_of(content: &[u8]) -> Result<(), String> {
    let mut at = 0;
    while at < content.len() {
        let (found, start) = header(content, at)?;
        at = start + found.length;
        if at > content.len() {
            return Err(syntax("truncated sequence"));
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_no_request_is_told_in_gos_words() {
        let key: &[u8] = &[0x30, 9, 0x30, 3, 6, 1, 0x2a, 3, 2, 0, 1];
        let with = |info: &[u8], rest: &[u8]| {
            let content = [&[0x30, info.len() as u8], info, rest].concat();
            [&[0x30, content.len() as u8], &*content].concat()
        };
        let info = [&[2, 1, 0, 0x30, 0], key, &[0xa0, 0]].concat();
        let rest = [0x30, 3, 6, 1, 0x2a, 3, 2, 0, 1];
        let whole = with(&info, &rest);
        assert_eq!(check(&whole), Ok(()));
        let params = "{optional:false explicit:false application:false private:false defaultValue:<nil> tag:<nil> \
                      stringType:0 timeType:0 set:false omitEmpty:false}";
        let tags = |wanted: u32, found: &str, name: &str, at: usize| {
            format!("asn1: structure error: tags don't match ({wanted} vs {found}) {params} {name} @{at}")
        };
        let cases: [(Vec<u8>, String); 14] = [
            (vec![], syntax("sequence truncated")),
            (vec![0x30], syntax("truncated tag or length")),
            (vec![0x30, 0x80], syntax("indefinite length found (not DER)")),
            (vec![0x30, 0x81, 5], structure("non-minimal length")),
            (vec![0x30, 0x82, 0, 0], structure("superfluous leading zeros in length")),
            (vec![0x30, 2, 0], syntax("data truncated")),
            (vec![0x30, 0], syntax("sequence truncated")),
            (vec![0x1f, 0x80], syntax("integer is not minimally encoded")),
            (b"hello".to_vec(), tags(16, "{class:1 tag:8 length:101 isCompound:true}", "certificateRequest", 2)),
            (vec![0x30, 2, 5, 0], tags(16, "{class:0 tag:5 length:0 isCompound:false}", "tbsCertificateRequest", 2)),
            ([&*whole, &[0]].concat(), syntax("trailing data")),
            (with(&[2, 0], &rest), structure("empty integer")),
            (with(&info, &[0x30, 2, 6, 0]), syntax("zero length OBJECT IDENTIFIER")),
            (with(&info, &[0x30, 3, 6, 1, 0x2a, 3, 2, 1, 1]), syntax("invalid padding bits in BIT STRING")),
        ];
        for (bytes, want) in cases {
            assert_eq!(check(&bytes), Err(want), "{bytes:x?}");
        }
    }
}

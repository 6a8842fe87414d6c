//! Makes a certificate of a request.
//!
//! The certificate is put together here: subject and key are the request's own bytes, so that nothing of them is lost,
//! such as the second of two organizations.
//! Upstream: pkg/controller/certificates/authority (v1.35), PermissiveSigningPolicy.

use std::time::Duration;

use base64::{Engine as _, engine::general_purpose::STANDARD};
use corten_base::Rng;
use jiff::Timestamp;
use rcgen::{KeyPair, SigningKey as _};
use x509_parser::{parse_x509_certificate, pem::parse_x509_pem};

use super::der::{self, INTEGER, OCTET_STRING, SEQUENCE};
use crate::{certificate_requests::Asked, config::SigningAuthority};

/// Certificates begin this much in the past: clocks differ.
const BACKDATE: Duration = Duration::from_secs(300);
/// Lives shorter than this are not shortened by what lies in the past.
const SHORT: Duration = Duration::from_secs(8 * 3_600);

const KEY_USAGE: &[u64] = &[2, 5, 29, 15];
const ALTERNATIVE_NAMES: &[u64] = &[2, 5, 29, 17];
const BASIC_CONSTRAINTS: &[u64] = &[2, 5, 29, 19];
const AUTHORITY_KEY: &[u64] = &[2, 5, 29, 35];
const EXTENDED_KEY_USAGE: &[u64] = &[2, 5, 29, 37];

/// A certificate authority that can sign.
pub(super) struct Authority {
    /// Its subject, DER.
    name: Vec<u8>,
    /// How its key is told from others.
    key_id: Option<Vec<u8>>,
    not_after: Timestamp,
    key: KeyPair,
    /// How its signatures are made, DER.
    algorithm: Vec<u8>,
}

impl Authority {
    /// Reads certificate and key.
    ///
    /// Errors: one of them cannot be read, or the key is of a kind that does not sign certificates.
    pub(super) fn read(signing: &SigningAuthority) -> Result<Self, String> {
        let (_, pem) = parse_x509_pem(signing.certificate.as_bytes()).map_err(|error| error.to_string())?;
        let (_, certificate) = parse_x509_certificate(&pem.contents).map_err(|error| error.to_string())?;
        let key = KeyPair::from_pem(&signing.key).map_err(|error| error.to_string())?;
        let key_id = certificate.iter_extensions().find_map(|extension| match extension.parsed_extension() {
            x509_parser::extensions::ParsedExtension::SubjectKeyIdentifier(id) => Some(id.0.to_vec()),
            _ => None,
        });
        let not_after = Timestamp::from_second(certificate.validity().not_after.timestamp());
        Ok(Self {
            name: certificate.subject().as_raw().to_vec(),
            key_id,
            not_after: not_after.map_err(|error| error.to_string())?,
            algorithm: algorithm(&key)?,
            key,
        })
    }
}

fn algorithm(key: &KeyPair) -> Result<Vec<u8>, String> {
    let used = key.algorithm();
    let known: [(&rcgen::SignatureAlgorithm, &[u64], &[u8]); 4] = [
        (&rcgen::PKCS_ECDSA_P256_SHA256, &[1, 2, 840, 10_045, 4, 3, 2], &[]),
        (&rcgen::PKCS_ECDSA_P384_SHA384, &[1, 2, 840, 10_045, 4, 3, 3], &[]),
        (&rcgen::PKCS_ED25519, &[1, 3, 101, 112], &[]),
        // With a NULL for its parameters.
        (&rcgen::PKCS_RSA_SHA256, &[1, 2, 840, 113_549, 1, 1, 11], &[5, 0]),
    ];
    let found = known.into_iter().find(|(algorithm, _, _)| *algorithm == used);
    let (_, arcs, parameters) = found.ok_or_else(|| format!("keys of the kind {used:?} do not sign certificates"))?;
    Ok(der::sequence([der::oid(arcs).as_slice(), parameters]))
}

/// What a certificate is made by.
#[derive(Debug)]
pub(super) struct Terms<'a> {
    /// The time.
    pub(super) now: Timestamp,
    /// How long it is to be valid.
    pub(super) valid: Duration,
    /// What it may be used for.
    pub(super) usages: &'a [String],
}

/// Signs a request. Returns the certificate, PEM.
///
/// Errors: the sender does not have the key, or a usage is not known.
pub(super) fn sign(
    authority: &Authority,
    asked: &Asked<'_>,
    terms: &Terms<'_>,
    rng: &dyn Rng,
) -> Result<String, String> {
    let verified = asked.parsed.verify_signature();
    verified.map_err(|error| format!("unable to verify certificate request signature: {error}"))?;
    let not_before = terms.now - BACKDATE;
    let not_after = if terms.valid < SHORT { terms.now } else { not_before } + terms.valid;
    let info = &asked.parsed.certification_request_info;
    let mut serial = [0; 16];
    rng.fill(&mut serial);
    // Positive, and with as many bytes as it says.
    serial[0] = serial[0] & 0x7f | 0x40;
    let certificate = der::sequence([
        // Version 3.
        der::value(0xa0, &[INTEGER, 1, 2]).as_slice(),
        &der::value(INTEGER, &serial),
        &authority.algorithm,
        &authority.name,
        &der::sequence([der::time(not_before).as_slice(), &der::time(not_after.min(authority.not_after))]),
        info.subject.as_raw(),
        info.subject_pki.raw,
        &der::value(0xa3, &der::value(SEQUENCE, &extensions(authority, asked, terms.usages)?.concat())),
    ]);
    let signature = authority.key.sign(&certificate).map_err(|error| error.to_string())?;
    let signed = der::sequence([certificate.as_slice(), &authority.algorithm, &der::bits(&signature)]);
    Ok(pem(&signed))
}

fn extensions(authority: &Authority, asked: &Asked<'_>, usages: &[String]) -> Result<Vec<Vec<u8>>, String> {
    let (mut key_usages, mut purposes) = (0_u16, Vec::new());
    for usage in usages {
        if let Some(bit) = key_usage(usage) {
            key_usages |= 1 << bit;
        } else if let Some(purpose) = purpose(usage) {
            purposes.push(der::oid(purpose));
        } else {
            return Err(format!("unrecognized usage values: {usage:?}"));
        }
    }
    let mut all = Vec::new();
    if key_usages != 0 {
        all.push(extension(KEY_USAGE, true, &der::named_bits(key_usages)));
    }
    if !purposes.is_empty() {
        all.push(extension(EXTENDED_KEY_USAGE, false, &der::value(SEQUENCE, &purposes.concat())));
    }
    // No authority.
    all.push(extension(BASIC_CONSTRAINTS, true, &der::value(SEQUENCE, &[])));
    if let Some(id) = &authority.key_id {
        all.push(extension(AUTHORITY_KEY, false, &der::value(SEQUENCE, &der::value(0x80, id))));
    }
    let text =
        |tag: u8, names: &[String]| names.iter().map(|name| der::value(tag, name.as_bytes())).collect::<Vec<_>>();
    let mut names = text(0x82, &asked.dns_names);
    names.extend(text(0x81, &asked.emails));
    names.extend(asked.addresses.iter().map(|address| der::value(0x87, address)));
    names.extend(text(0x86, &asked.uris));
    if !names.is_empty() {
        // A subject without a name leaves nobody but these to be named.
        let is_critical = asked.parsed.certification_request_info.subject.iter_attributes().next().is_none();
        all.push(extension(ALTERNATIVE_NAMES, is_critical, &der::value(SEQUENCE, &names.concat())));
    }
    Ok(all)
}

fn extension(oid: &[u64], is_critical: bool, content: &[u8]) -> Vec<u8> {
    let critical: &[u8] = if is_critical { &[1, 1, 0xff] } else { &[] };
    der::sequence([der::oid(oid).as_slice(), critical, &der::value(OCTET_STRING, content)])
}

fn key_usage(usage: &str) -> Option<u8> {
    Some(match usage {
        "signing" | "digital signature" => 0,
        "content commitment" => 1,
        "key encipherment" => 2,
        "data encipherment" => 3,
        "key agreement" => 4,
        "cert sign" => 5,
        "crl sign" => 6,
        "encipher only" => 7,
        "decipher only" => 8,
        _ => return None,
    })
}

fn purpose(usage: &str) -> Option<&'static [u64]> {
    Some(match usage {
        "any" => &[2, 5, 29, 37, 0],
        "server auth" => &[1, 3, 6, 1, 5, 5, 7, 3, 1],
        "client auth" => &[1, 3, 6, 1, 5, 5, 7, 3, 2],
        "code signing" => &[1, 3, 6, 1, 5, 5, 7, 3, 3],
        "email protection" | "s/mime" => &[1, 3, 6, 1, 5, 5, 7, 3, 4],
        "ipsec end system" => &[1, 3, 6, 1, 5, 5, 7, 3, 5],
        "ipsec tunnel" => &[1, 3, 6, 1, 5, 5, 7, 3, 6],
        "ipsec user" => &[1, 3, 6, 1, 5, 5, 7, 3, 7],
        "timestamping" => &[1, 3, 6, 1, 5, 5, 7, 3, 8],
        "ocsp signing" => &[1, 3, 6, 1, 5, 5, 7, 3, 9],
        "microsoft sgc" => &[1, 3, 6, 1, 4, 1, 311, 10, 3, 3],
        "netscape sgc" => &[2, 16, 840, 1, 113_730, 4, 1],
        _ => return None,
    })
}

fn pem(der: &[u8]) -> String {
    let text = STANDARD.encode(der);
    let mut pem = "-----BEGIN CERTIFICATE-----\n".to_owned();
    for line in text.as_bytes().chunks(64) {
        pem.extend(line.iter().map(|byte| char::from(*byte)));
        pem.push('\n');
    }
    pem + "-----END CERTIFICATE-----\n"
}

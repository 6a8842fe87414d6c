//! Rules of cluster trust bundles.

use std::collections::BTreeMap;

use corten_apimachinery::{
    Value,
    field::{Error, ErrorList, Path},
    meta::ObjectMeta,
    validation::is_dns1123_subdomain_prefixed,
};
use x509_parser::{certificate::X509Certificate, prelude::FromDer as _};

use crate::{
    certificates::{pem, signer_name},
    report::Report,
    tree::text_at,
};

/// As much as an object can have at all.
const BUNDLE_MAX_BYTES: usize = 1024 * 1024;
/// What is shown instead of a bundle.
const OMITTED: &str = "<value omitted>";

fn signer_of(bundle: &Value) -> &str {
    text_at(bundle, &["spec", "signerName"])
}

fn anchors_of(bundle: &Value) -> &str {
    text_at(bundle, &["spec", "trustBundle"])
}

pub(super) fn bundle(bundle: &Value) -> ErrorList {
    let mut errors = names(bundle);
    anchors(anchors_of(bundle), &Path::new("spec").child("trustBundle"), &mut errors);
    errors
}

pub(super) fn update(bundle: &Value, old: &Value) -> ErrorList {
    let (path, field) = (Path::new("spec"), ["spec", "signerName"]);
    let mut errors = names(bundle);
    // What is there stays good, whatever later servers think of it.
    if anchors_of(bundle) != anchors_of(old) {
        anchors(anchors_of(bundle), &path.child("trustBundle"), &mut errors);
    }
    if signer_of(bundle) != signer_of(old) {
        errors.immutable(&path.child("signerName"), Some(&signer_of(bundle).into()), old.at(&field));
    }
    errors
}

fn names(bundle: &Value) -> ErrorList {
    let signer = signer_of(bundle);
    let mut errors = ErrorList::new();
    let at = Path::new("metadata");
    if !bundle.generate_name().is_empty() {
        let name = bundle.generate_name();
        errors.invalids(&at.child("generateName"), name, name_of(signer, name, true));
    }
    errors.invalids(&at.child("name"), bundle.name(), name_of(signer, bundle.name(), false));
    if !signer.is_empty() {
        signer_name::validate(signer, &Path::new("spec").child("signerName"), &mut errors);
    }
    errors
}

/// The names of a signer's bundles begin with its own.
pub(crate) fn name_of(signer: &str, name: &str, prefix: bool) -> Vec<String> {
    if signer.is_empty() {
        if name.contains(':') {
            return vec!["ClusterTrustBundle without signer name must not have \":\" in its name".to_owned()];
        }
        return is_dns1123_subdomain_prefixed(name, prefix);
    }
    let required = format!("{}:", signer.replace('/', ":"));
    match name.strip_prefix(&required) {
        Some(rest) => is_dns1123_subdomain_prefixed(rest, prefix),
        None => vec![format!("ClusterTrustBundle for signerName {signer} must be named with prefix {required}")],
    }
}

/// Certificates of authorities, each once, and at least one.
fn anchors(text: &str, path: &Path, errors: &mut ErrorList) {
    if text.len() > BUNDLE_MAX_BYTES {
        errors.push(Error::too_long(path, BUNDLE_MAX_BYTES));
        return;
    }
    let (mut places, mut is_sound) = (BTreeMap::<Vec<u8>, Vec<usize>>::new(), true);
    for (index, block) in pem::blocks(text).enumerate() {
        match anchor(&block) {
            Ok(()) => places.entry(block.bytes).or_default().push(index),
            Err(fault) => {
                is_sound = false;
                errors.invalid(path, OMITTED, format!("entry {index} {fault}"));
            }
        }
    }
    if !is_sound {
        return;
    }
    if places.is_empty() {
        errors.invalid(path, OMITTED, "at least one trust anchor must be provided");
    }
    let mut repeated: Vec<&Vec<usize>> = places.values().filter(|indices| indices.len() > 1).collect();
    repeated.sort_unstable();
    for indices in repeated {
        let indices: Vec<String> = indices.iter().map(ToString::to_string).collect();
        errors.invalid(path, OMITTED, format!("duplicate trust anchor (indices [{}])", indices.join(" ")));
    }
}

/// Errors: why this is no certificate of an authority.
fn anchor(block: &pem::Block<'_>) -> Result<(), String> {
    if block.ty != "CERTIFICATE" {
        return Err(format!("has bad block type: {}", block.ty));
    }
    if block.has_headers {
        return Err("has PEM block headers".to_owned());
    }
    let unreadable = "does not parse as X.509".to_owned();
    let Ok((rest, certificate)) = X509Certificate::from_der(&block.bytes) else { return Err(unreadable) };
    if !rest.is_empty() {
        return Err(unreadable);
    }
    match certificate.basic_constraints() {
        Err(_) => Err(unreadable),
        Ok(Some(constraints)) if constraints.value.ca => Ok(()),
        Ok(_) => Err("does not have the CA bit set".to_owned()),
    }
}

//! Rules of pod certificate requests.

use base64::Engine as _;
use corten_apimachinery::{
    Map, Value,
    field::{Error, ErrorList, ErrorType, Path},
    value::semantically_equal,
};
use jiff::Timestamp;

use super::{
    chain,
    key::{self, Fault},
};
use crate::{
    certificates::{
        signer_name::{self, EXPIRATION_MIN_SECONDS, expiration_max_seconds},
        user_annotations,
    },
    conditions,
    report::Report,
    tree::text_at,
};

/// What can become of a request.
pub(super) const OUTCOMES: [&str; 3] = ["Issued", "Denied", "Failed"];

const UID_MAX_BYTES: usize = 128;
const KEY_MAX_BYTES: usize = 10 * 1_024;
const PROOF_MAX_BYTES: usize = 10 * 1_024;

pub(super) fn create(request: &Value) -> ErrorList {
    let path = Path::new("spec");
    let text = |field: &str| text_at(request, &["spec", field]);
    let mut errors = ErrorList::new();
    let signer = text("signerName");
    signer_name::validate(signer, &path.child("signerName"), &mut errors);
    let annotations = request.at(&["spec", "unverifiedUserAnnotations"]).and_then(Value::as_object);
    let entries = annotations.into_iter().flat_map(Map::iter);
    let entries = entries.map(|(key, value)| (key, value.as_str().unwrap_or_default()));
    user_annotations::validate(entries, &path.child("unverifiedUserAnnotations"), &mut errors);
    for (name, uid) in [("podName", "podUID"), ("serviceAccountName", "serviceAccountUID"), ("nodeName", "nodeUID")] {
        errors.object_name(&path.child(name), text(name));
        if text(uid).is_empty() {
            errors.invalid(&path.child(uid), "", "must not be empty");
        }
        if text(uid).len() > UID_MAX_BYTES {
            errors.push(Error::too_long(&path.child(uid), UID_MAX_BYTES));
        }
    }
    let at = path.child("maxExpirationSeconds");
    let Some(seconds) = request.i64_at(&["spec", "maxExpirationSeconds"]) else {
        errors.required(&at, "must be set");
        return errors;
    };
    let max = expiration_max_seconds(signer);
    if !(EXPIRATION_MIN_SECONDS..=max).contains(&seconds) {
        errors.invalid(&at, seconds, format!("must be in the range [{EXPIRATION_MIN_SECONDS}, {max}]"));
    }
    proven(text("pkixPublicKey"), text("proofOfPossession"), text("podUID"), &path, &mut errors);
    errors
}

/// Who asks has the key: it has signed the pod's UID.
fn proven(key: &str, proof: &str, pod_uid: &str, path: &Path, errors: &mut ErrorList) {
    // Decoding has checked the base64 of fields that are bytes.
    let bytes = |text: &str| base64::engine::general_purpose::STANDARD.decode(text).unwrap_or_default();
    let (key_at, proof_at) = (path.child("pkixPublicKey"), path.child("proofOfPossession"));
    let (der, signature) = (bytes(key), bytes(proof));
    for (bytes, max, at) in [(&der, KEY_MAX_BYTES, &key_at), (&signature, PROOF_MAX_BYTES, &proof_at)] {
        if bytes.len() > max {
            errors.push(Error::too_long(at, max));
            return;
        }
    }
    match key::check(&der, pod_uid.as_bytes(), &signature) {
        Ok(()) => {}
        Err(Fault::Unreadable) => errors.invalid(&key_at, key, "must be a valid PKIX-serialized public key"),
        Err(Fault::Kind) => {
            errors.invalid(&key_at, key, "unknown public key type; supported types are Ed25519, ECDSA, and RSA");
        }
        Err(Fault::Curve(curve)) => {
            let detail = "elliptic public keys must use curve P256 or P384";
            errors.invalid(&key_at, format!("curve {curve}"), detail);
        }
        Err(Fault::Bits(bits)) => {
            let detail = "RSA keys must have modulus size 3072 or 4096";
            errors.invalid(&key_at, format!("{bits}-bit modulus"), detail);
        }
        Err(Fault::Proof) => errors.push(omitted(&proof_at, "could not verify proof-of-possession signature")),
    }
}

/// A value is not allowed, and not shown.
fn omitted(path: &Path, detail: &str) -> Error {
    Error { kind: ErrorType::Invalid, field: path.to_string(), bad_value: None, detail: detail.to_owned() }
}

pub(super) fn status(request: &Value, old: &Value, now: Timestamp) -> ErrorList {
    let (null, path) = (Value::Null, Path::new("status"));
    let (status, before) = (request.get("status").unwrap_or(&null), old.get("status").unwrap_or(&null));
    let all = status.items_at(&["conditions"]);
    let mut errors = outcomes(all, &path);
    conditions::validate(all, &path.child("conditions"), &mut errors);
    // The rest depends on the conditions.
    if !errors.is_empty() {
        return errors;
    }
    let same = semantically_equal(Some(status), Some(before));
    let has = |ty: &str| conditions::is_true(all, ty);
    let had_any = OUTCOMES.iter().any(|ty| conditions::is_true(before.items_at(&["conditions"]), ty));
    if had_any {
        if !same {
            errors.push(omitted(&path, "immutable after PodCertificateRequest is issued, denied, or failed"));
        }
    } else if has("Denied") || has("Failed") {
        let is_empty =
            |field: &str| status.at(&[field]).is_none_or(|value| value.is_null() || value.as_str() == Some(""));
        if !["certificateChain", "notBefore", "beginRefreshAt", "notAfter"].iter().all(|field| is_empty(field)) {
            let detail = "non-condition status fields must be empty when denying or failing the PodCertificateRequest";
            errors.push(omitted(&path, detail));
        }
    } else if has("Issued") {
        chain::validate(request, now, &mut errors);
    } else if !same {
        let detail = "status is immutable unless transitioning to \"Issued\", \"Denied\", or \"Failed\"";
        errors.push(omitted(&path, detail));
    }
    errors
}

/// One of the known conditions, and it is so. Upstream makes the index a part of the path of its own.
fn outcomes(conditions: &[Value], path: &Path) -> ErrorList {
    let mut errors = ErrorList::new();
    let mut count = 0;
    for (index, condition) in conditions.iter().enumerate() {
        let at = path.child("conditions").child(format!("[{index}]"));
        let ty = text_at(condition, &["type"]);
        if !OUTCOMES.contains(&ty) {
            errors.one_of(&at.child("type"), ty, &OUTCOMES);
            continue;
        }
        count += 1;
        if count > 1 {
            let detail = "There may be at most one condition with type \"Issued\", \"Denied\", or \"Failed\"";
            errors.invalid(&at.child("type"), ty, detail);
        }
        errors.one_of(&at.child("status"), text_at(condition, &["status"]), &["True"]);
    }
    errors
}

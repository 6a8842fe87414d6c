//! What is wrong with the text of a patch, and how it is told together with what is wrong with the patched object.
//!
//! Upstream: `applyJSPatch`, `strategicPatchObject` and `applyPatchToObject` in
//! k8s.io/apiserver/pkg/endpoints/handlers/patch.go (v1.35).

use corten_apimachinery::{
    codec::{Decoded, FieldValidation},
    field::{Error, Path, quote},
    gvk::GroupVersionKind,
    status::Status,
    value::{Value, go_text},
};
use corten_client::PatchKind;

/// What an operation of a JSON patch consists of.
const OPERATION: [&str; 4] = ["op", "path", "from", "value"];

/// Keys of a patch that say nothing, or say it twice, in upstream's words.
pub(super) fn complaints(kind: PatchKind, decoded: &Decoded, validation: FieldValidation) -> Vec<String> {
    let doubled = decoded.complaints();
    if kind != PatchKind::Json || validation == FieldValidation::Ignore {
        return doubled;
    }
    let operations = decoded.value.as_array().unwrap_or_default();
    let unknown = operations.iter().enumerate().flat_map(|(index, operation)| {
        let keys = operation.as_object().into_iter().flat_map(|map| map.iter()).map(|(key, _)| key);
        let unknown = keys.filter(|key| !OPERATION.contains(key));
        unknown.map(move |key| format!("unknown field {}", quote(&format!("[{index}].{key}"))))
    });
    let mut all: Vec<String> = unknown.chain(doubled).collect();
    // A stable sort, by operation.
    all.sort_by_key(|complaint| index_of(complaint));
    all.into_iter().map(|complaint| format!("json patch {complaint}")).collect()
}

/// The operation that a complaint is about.
fn index_of(complaint: &str) -> usize {
    let index = complaint.split_once('[').and_then(|(_, rest)| rest.split_once(']')).map(|(index, _)| index);
    index.and_then(|index| index.parse().ok()).unwrap_or_default()
}

/// The failure of a patch that leads to an object which is not well-formed, because of `why`.
///
/// A strategic patch shows itself, the others what became of the object.
pub(super) fn refused(kind: PatchKind, patch: &Value, patched_json: &[u8], why: &str) -> Status {
    let shown = match kind {
        PatchKind::Strategic => go_text(patch),
        _ => String::from_utf8_lossy(patched_json).into_owned(),
    };
    let error = Error::invalid(&Path::new("patch"), shown, why);
    Status::invalid(&GroupVersionKind::new("", "", ""), "", &[error])
}

/// What stands before the keys that YAML says twice, of which each has a line.
const DOUBLED: &str = "yaml: unmarshal errors:\n";

/// Complaints as they are told to who only wants to be warned: what YAML says twice, each by itself.
///
/// Upstream: `parseYAMLWarnings` in k8s.io/apiserver/pkg/endpoints/handlers/rest.go (v1.35).
pub(super) fn warnings(complaints: Vec<String>) -> Vec<String> {
    let told = complaints.into_iter().flat_map(|complaint| match complaint.strip_prefix(DOUBLED) {
        Some(doubled) => doubled.split('\n').map(|line| line.trim().to_owned()).collect(),
        None => vec![complaint],
    });
    told.collect()
}

/// The reason of a refusal that names every complaint.
pub(super) fn strict_error(complaints: &[String]) -> String {
    format!("strict decoding error: {}", complaints.join(", "))
}

#[cfg(test)]
mod tests {
    use corten_apimachinery::codec;

    use super::*;

    #[test]
    fn keys_that_say_nothing_are_told_in_the_order_of_operations() {
        let check = |kind, patch: &str, want: &[&str]| {
            let decoded = codec::json::decode(patch.as_bytes(), None, FieldValidation::Strict).unwrap();
            assert_eq!(complaints(kind, &decoded, FieldValidation::Strict), want, "{patch}");
        };
        check(
            PatchKind::Json,
            r#"[{"op": "add", "path": "/a", "value": {"foo": 1}}, {"op": "add", "path": "/a", "path": "/b", "value": 1},
                {"op": "remove", "path": "/c", "foo": 1}]"#,
            &[r#"json patch duplicate field "[1].path""#, r#"json patch unknown field "[2].foo""#],
        );
        check(PatchKind::Merge, r#"{"spec": {"a": 1, "a": 2}, "foo": 1}"#, &[r#"duplicate field "spec.a""#]);
    }

    /// All were one warning, whose text was cut off.
    #[test]
    fn each_key_that_yaml_says_twice_is_a_warning() {
        let decoded = codec::yaml::decode(b"a: 1\na: 2\nb: 1\na: 3\nb: 2\n", None, FieldValidation::Warn).unwrap();
        let complaints = decoded.complaints().into_iter().chain(["unknown field \"c\"".to_owned()]).collect();
        assert_eq!(
            warnings(complaints),
            [
                "line 2: key \"a\" already set in map",
                "line 4: key \"a\" already set in map",
                "line 5: key \"b\" already set in map",
                "unknown field \"c\"",
            ]
        );
    }

    #[test]
    fn a_refusal_shows_the_patch_or_the_object() {
        let patch = codec::json::decode(br#"{"b": [1, true], "a": {"c": null}}"#, None, FieldValidation::Ignore);
        let patch = patch.unwrap().value;
        let why = strict_error(&["unknown field \"x\"".to_owned(), "unknown field \"y\"".to_owned()]);
        let status = refused(PatchKind::Strategic, &patch, b"{}", &why);
        assert_eq!(status.code, 422);
        assert_eq!(
            status.message,
            " \"\" is invalid: patch: Invalid value: \"map[a:map[c:<nil>] b:[1 true]]\": strict decoding error: unknown \
             field \"x\", unknown field \"y\""
        );
        let status = refused(PatchKind::Merge, &patch, b"{\"a\":1}", "why");
        assert_eq!(status.message, " \"\" is invalid: patch: Invalid value: \"{\\\"a\\\":1}\": why");
    }
}

//! Every kind of upstream's round-trip data, in every encoding: read, and written again byte for byte.
//!
//! The data is upstream's (`k8s.io/api/testdata`), found through `CORTEN_UPSTREAM_DATA`; every field of each kind is filled.
//! What filled fields cannot show (zero values) is tested beside the codecs.

#![expect(clippy::print_stdout, reason = "a test that is skipped says so")]

use std::{
    fs,
    path::{Path, PathBuf},
};

use corten_api::types;
use corten_apimachinery::{
    Value,
    codec::{self, FieldValidation, cbor, json, protobuf, yaml},
    type_table::{Shape, TypeId},
};

/// The folder with the data; `None`, and a word about it, if nobody says where it is.
fn data() -> Option<PathBuf> {
    let Some(root) = std::env::var_os("CORTEN_UPSTREAM_DATA") else {
        println!("skipped: CORTEN_UPSTREAM_DATA is not set");
        return None;
    };
    let folder = Path::new(&root).join("api-roundtrip");
    assert!(folder.is_dir(), "CORTEN_UPSTREAM_DATA is set, but has no folder api-roundtrip");
    Some(folder)
}

/// Runs `check` on every file with this ending and reports all that fail.
fn for_each(ending: &str, check: impl Fn(&[u8], TypeId, &Path) -> Result<(), String>) {
    let Some(folder) = data() else { return };
    let mut failures = Vec::new();
    let mut count = 0;
    for part in fs::read_dir(folder).unwrap() {
        for file in fs::read_dir(part.unwrap().path()).unwrap() {
            let path = file.unwrap().path();
            if path.extension().is_none_or(|found| found != ending) {
                continue;
            }
            count += 1;
            let result = type_of(&path)
                .ok_or_else(|| "its kind is not in the type table".to_owned())
                .and_then(|type_id| check(&fs::read(&path).unwrap(), type_id, &path));
            if let Err(why) = result {
                failures.push(format!("{}: {why}", path.file_name().unwrap().display()));
            }
        }
    }
    // 183 kinds of k8s.io/api, and 4 of apiextensions.
    assert_eq!(count, 187, "as many files of each encoding");
    assert!(failures.is_empty(), "{} of {count} files:\n{}", failures.len(), failures.join("\n"));
}

/// The type of a file's object, by the name: `apps.v1.Deployment.json`.
fn type_of(path: &Path) -> Option<TypeId> {
    let name = path.file_stem()?.to_str()?;
    let mut parts = name.rsplitn(3, '.');
    let (kind, version, group) = (parts.next()?, parts.next()?, parts.next()?);
    types::table().find_kind(if group == "core" { "" } else { group }, version, kind)
}

/// The same object as upstream's JSON file has it, read with its type.
fn typed_tree(path: &Path, type_id: TypeId) -> Result<Value, String> {
    let bytes = fs::read(path.with_extension("json")).unwrap();
    let decoded = json::decode(&bytes, Some((types::table(), type_id)), FieldValidation::Strict);
    decoded.map(|decoded| decoded.value).map_err(|error| error.to_string())
}

fn same(written: &[u8], want: &[u8]) -> Result<(), String> {
    if written == want {
        return Ok(());
    }
    let at = written.iter().zip(want).position(|(a, b)| a != b).unwrap_or(written.len().min(want.len()));
    let around = |bytes: &[u8]| {
        let part = &bytes[at.saturating_sub(60)..bytes.len().min(at + 60)];
        String::from_utf8_lossy(part).escape_debug().to_string()
    };
    Err(format!("differs at byte {at}:\n    wrote {}\n    want  {}", around(written), around(want)))
}

#[test]
fn json_is_written_as_it_was_read() {
    for_each("json", |bytes, type_id, _| {
        let typed = Some((types::table(), type_id));
        let decoded = json::decode(bytes, typed, FieldValidation::Strict).map_err(|error| error.to_string())?;
        if !decoded.complaints().is_empty() {
            return Err(format!("{:?}", decoded.complaints()));
        }
        same(json::encode_pretty(&decoded.value, typed).trim_ascii_end(), bytes.trim_ascii_end())
    });
}

#[test]
fn canonical_objects_stay_as_they_are() {
    for_each("json", |_, type_id, path| {
        let tree = typed_tree(path, type_id)?;
        let mut again = tree.clone();
        codec::canonicalize(&mut again, types::table(), type_id);
        if again == tree { Ok(()) } else { Err("changed".to_owned()) }
    });
}

#[test]
fn a_resource_version_is_spliced_in_where_it_belongs() {
    for_each("json", |_, type_id, path| {
        let typed = Some((types::table(), type_id));
        let mut tree = typed_tree(path, type_id)?;
        if tree.at(&["metadata", "resourceVersion"]).is_none() {
            return Ok(());
        }
        tree.set(&["metadata", "resourceVersion"], "18446744073709551615");
        let want = json::encode(&tree, typed);
        tree.unset(&["metadata", "resourceVersion"]);
        same(&json::encode_spliceable(&tree, typed).splice(u64::MAX), &want)
    });
}

#[test]
fn yaml_is_written_as_it_was_read() {
    for_each("yaml", |bytes, type_id, path| {
        let typed = Some((types::table(), type_id));
        let decoded = yaml::decode(bytes, typed, FieldValidation::Strict).map_err(|error| error.to_string())?;
        if !decoded.complaints().is_empty() {
            return Err(format!("{:?}", decoded.complaints()));
        }
        if decoded.value != typed_tree(path, type_id)? {
            return Err("not the object of the JSON file".to_owned());
        }
        same(&yaml::encode(&decoded.value), bytes)
    });
}

#[test]
fn protobuf_is_written_as_it_was_read() {
    for_each("pb", |bytes, type_id, path| {
        let table = types::table();
        let value = protobuf::decode(bytes, table, type_id).map_err(|error| error.to_string())?;
        let want = typed_tree(path, type_id)?;
        if value != want {
            let (found, want) = (json::encode(&value, None), json::encode(&want, None));
            return same(&found, &want).map_err(|why| format!("not the object of the JSON file: {why}"));
        }
        same(&protobuf::encode(&value, table, type_id).map_err(|error| error.to_string())?, bytes)
    });
}

#[test]
fn protobuf_that_is_cut_short_or_damaged_is_no_harm() {
    for_each("pb", |bytes, type_id, _| {
        let table = types::table();
        // Some lengths and some bytes of each: all of them would take minutes without teaching more.
        for len in (4..bytes.len()).step_by(13) {
            let _ = protobuf::decode(&bytes[..len], table, type_id);
        }
        let mut damaged = bytes.to_vec();
        for at in (4..bytes.len()).step_by(29) {
            damaged[at] ^= 0xff;
            if let Ok(value) = protobuf::decode(&damaged, table, type_id) {
                let _ = protobuf::encode(&value, table, type_id);
            }
            damaged[at] ^= 0xff;
        }
        Ok(())
    });
}

#[test]
fn messages_nested_too_deeply_are_refused_before_the_stack_ends() {
    let (type_id, schema) = types::table().iter().find(|(_, ty)| ty.name.ends_with("v1.JSONSchemaProps")).unwrap();
    let Shape::Struct(fields) = &schema.shape else { panic!("a schema is a struct") };
    let number = fields.field("not").unwrap().numbers[0];
    let varint = |mut number: usize| {
        let mut bytes = Vec::new();
        while number >= 0x80 {
            bytes.push(number as u8 | 0x80);
            number >>= 7;
        }
        bytes.push(number as u8);
        bytes
    };
    let field =
        |number: usize, content: &[u8]| [varint(number << 3 | 2), varint(content.len()), content.to_vec()].concat();
    let nested = |depth: usize| {
        let message = (0..depth).fold(Vec::new(), |inner, _| field(number as usize, &inner));
        [b"k8s\0".to_vec(), field(2, &message)].concat()
    };
    assert!(protobuf::decode(&nested(50), types::table(), type_id).is_ok());
    assert!(protobuf::decode(&nested(5_000), types::table(), type_id).is_err());
}

#[test]
fn json_that_is_not_indented_is_read_alike() {
    for_each("json", |_, type_id, path| {
        let typed = Some((types::table(), type_id));
        let tree = typed_tree(path, type_id)?;
        let written = json::encode(&tree, typed);
        let decoded = json::decode(&written, typed, FieldValidation::Strict).map_err(|error| error.to_string())?;
        if decoded.value == tree { Ok(()) } else { Err("changed".to_owned()) }
    });
}

#[test]
fn every_encoding_leads_to_the_others() {
    for_each("json", |bytes, type_id, path| {
        let table = types::table();
        let read = |name: &str| fs::read(path.with_extension(name)).unwrap();
        let failed = |error: codec::DecodeError| error.to_string();
        let of_yaml = yaml::decode(&read("yaml"), Some((table, type_id)), FieldValidation::Strict).map_err(failed)?;
        let of_binary = protobuf::decode(&read("pb"), table, type_id).map_err(failed)?;
        same(&protobuf::encode(&of_yaml.value, table, type_id).map_err(failed)?, &read("pb"))?;
        same(&yaml::encode(&of_binary), &read("yaml"))?;
        let json = json::encode_pretty(&of_binary, Some((table, type_id)));
        same(json.trim_ascii_end(), bytes.trim_ascii_end())
    });
}

#[test]
fn cbor_keeps_every_object() {
    for_each("json", |bytes, type_id, path| {
        let tree = typed_tree(path, type_id)?;
        let typed = Some((types::table(), type_id));
        for binary in [cbor::encode(&tree), cbor::encode_typed(&tree, typed)] {
            let decoded = cbor::decode(&binary, typed, FieldValidation::Strict).map_err(|error| error.to_string())?;
            if decoded.value != tree {
                return Err("changed".to_owned());
            }
            same(json::encode_pretty(&decoded.value, typed).trim_ascii_end(), bytes.trim_ascii_end())?;
            // Who knows no type sees the same, but for bytes that are no text.
            let untyped = cbor::decode(&binary, None, FieldValidation::Ignore).map_err(|error| error.to_string())?;
            if untyped.value != tree {
                return Err("changed without its type".to_owned());
            }
        }
        same(&cbor::encode_typed(&typed_tree(path, type_id)?, typed), &cbor::encode_typed(&tree, typed))
    });
}

/// Reads `object` with its type and compares what is written.
#[track_caller]
fn check(object: &str, want: &str) {
    let tree = json::decode(object.as_bytes(), None, FieldValidation::Ignore).unwrap().value;
    let type_id = codec::type_of(types::table(), &tree).unwrap();
    let typed = Some((types::table(), type_id));
    let decoded = json::decode(object.as_bytes(), typed, FieldValidation::Strict).unwrap();
    assert_eq!(std::str::from_utf8(&json::encode(&decoded.value, typed)).unwrap(), want);
    let binary = protobuf::encode(&decoded.value, types::table(), type_id).unwrap();
    assert_eq!(protobuf::decode(&binary, types::table(), type_id).unwrap(), decoded.value);
}

#[test]
fn zero_values_are_written_as_upstream_writes_them() {
    check(
        r#"{"kind":"Pod","apiVersion":"v1","metadata":{"creationTimestamp":null},"spec":{"containers":[{"name":"a"}],"hostNetwork":false,"terminationGracePeriodSeconds":0}}"#,
        r#"{"kind":"Pod","apiVersion":"v1","metadata":{},"spec":{"containers":[{"name":"a","resources":{}}],"terminationGracePeriodSeconds":0},"status":{}}"#,
    );
    check(
        r#"{"kind":"Deployment","apiVersion":"apps/v1","metadata":{"name":"x"},"spec":{"replicas":0,"paused":false,"selector":null,"template":{}}}"#,
        r#"{"kind":"Deployment","apiVersion":"apps/v1","metadata":{"name":"x"},"spec":{"replicas":0,"selector":null,"template":{"metadata":{},"spec":{"containers":null}},"strategy":{}},"status":{}}"#,
    );
    check(
        r#"{"kind":"Service","apiVersion":"v1","metadata":{"name":"x"},"spec":{"ports":[{"port":80}],"selector":{}}}"#,
        r#"{"kind":"Service","apiVersion":"v1","metadata":{"name":"x"},"spec":{"ports":[{"port":80,"targetPort":0}]},"status":{"loadBalancer":{}}}"#,
    );
}

#[test]
fn quantities_and_times_take_their_canonical_text() {
    check(
        r#"{"kind":"LimitRange","apiVersion":"v1","metadata":{"creationTimestamp":"2020-01-01T02:00:00.5+02:00"},"spec":{"limits":[{"type":"Pod","max":{"cpu":"1000m","memory":1.5,"x":"1024Mi"}}]}}"#,
        r#"{"kind":"LimitRange","apiVersion":"v1","metadata":{"creationTimestamp":"2020-01-01T00:00:00Z"},"spec":{"limits":[{"type":"Pod","max":{"cpu":"1","memory":"1500m","x":"1Gi"}}]}}"#,
    );
}

#[test]
fn what_does_not_fit_its_type_is_refused_in_gos_words() {
    #[track_caller]
    fn check(object: &str, want: &str) {
        let type_id = types::find_kind("apps", "v1", "Deployment").unwrap().0;
        let decoded = json::decode(object.as_bytes(), Some((types::table(), type_id)), FieldValidation::Strict);
        assert_eq!(decoded.unwrap_err().to_string(), want);
    }
    check(
        r#"{"spec":{"replicas":"3"}}"#,
        "json: cannot unmarshal string into Go struct field DeploymentSpec.spec.replicas of type int32",
    );
    check(
        r#"{"spec":{"replicas":1.5}}"#,
        "json: cannot unmarshal number 1.5 into Go struct field DeploymentSpec.spec.replicas of type int32",
    );
    check(r#"[]"#, "json: cannot unmarshal array into Go value of type v1.Deployment");
    check(
        r#"{"spec":{"template":{"spec":{"containers":[{"resources":{"limits":{"cpu":"x"}}}]}}}}"#,
        "quantities must match the regular expression '^([+-]?[0-9.]+)([eEinumkKMGTP]*[-+]?[0-9]*)$'",
    );
}

/// What Go's decoder hands to a type that reads itself is told in the words of that type.
#[test]
fn what_a_type_reads_itself_is_refused_in_its_own_words() {
    #[track_caller]
    fn check((group, version, kind): (&str, &str, &str), object: &str, want: &str) {
        let type_id = types::find_kind(group, version, kind).unwrap().0;
        let decoded = json::decode(object.as_bytes(), Some((types::table(), type_id)), FieldValidation::Strict);
        assert_eq!(decoded.unwrap_err().to_string(), want, "{object}");
    }
    let range = ("", "v1", "LimitRange");
    for value in ["true", "[]", "{}"] {
        let object = format!(r#"{{"spec":{{"limits":[{{"max":{{"cpu":{value}}}}}]}}}}"#);
        let want = "quantities must match the regular expression '^([+-]?[0-9.]+)([eEinumkKMGTP]*[-+]?[0-9]*)$'";
        check(range, &object, want);
    }
    for (value, found) in [("true", "bool"), ("[1]", "array"), ("{}", "object"), ("1.5", "number 1.5")] {
        let object = format!(r#"{{"spec":{{"ports":[{{"targetPort":{value}}}]}}}}"#);
        let field = "Go struct field ServicePort.spec.ports.targetPort of type int32";
        check(("", "v1", "Service"), &object, &format!("json: cannot unmarshal {found} into {field}"));
    }
    for (value, found) in [("5", "number"), ("false", "bool"), ("{}", "object")] {
        let object = format!(r#"{{"metadata":{{"creationTimestamp":{value}}}}}"#);
        let field = "Go struct field ObjectMeta.metadata.creationTimestamp of type string";
        check(range, &object, &format!("json: cannot unmarshal {found} into {field}"));
        let object = format!(r#"{{"spec":{{"renewTime":{value}}}}}"#);
        let field = "Go struct field LeaseSpec.spec.renewTime of type string";
        check(("coordination.k8s.io", "v1", "Lease"), &object, &format!("json: cannot unmarshal {found} into {field}"));
    }
    check(
        range,
        r#"{"metadata":{"creationTimestamp":"2026-13-01T00:00:00Z"}}"#,
        r#"parsing time "2026-13-01T00:00:00Z": month out of range"#,
    );
    check(
        ("coordination.k8s.io", "v1", "Lease"),
        r#"{"spec":{"renewTime":"2026-01-01T00:00:00Z"}}"#,
        r#"parsing time "2026-01-01T00:00:00Z" as "2006-01-02T15:04:05.000000Z07:00": cannot parse "Z" as ".000000""#,
    );
    check(
        ("apiextensions.k8s.io", "v1", "CustomResourceDefinition"),
        r#"{"spec":{"versions":[{"schema":{"openAPIV3Schema":{"additionalProperties":3}}}]}}"#,
        "boolean or JSON schema expected",
    );
}

//! Rules of storage versions.

use std::collections::BTreeMap;

use corten_apimachinery::{
    Value,
    field::{Error, ErrorList, Path},
    validation::{is_dns1035_label, is_dns1123_subdomain, is_qualified_name, regex_message},
};

use crate::{
    report::Report,
    tree::{each_at, text_at, texts_at},
    view::{Seen, texts},
};

/// Names are made of group and resource.
pub(super) fn name(name: &str) -> Vec<String> {
    let Some((group, resource)) = name.rsplit_once('.') else {
        return vec!["name must be in the form of <group>.<resource>".to_owned()];
    };
    let group = is_dns1123_subdomain(group).into_iter().map(|message| format!("the group segment {message}"));
    let resource = is_dns1035_label(resource).into_iter().map(|message| format!("the resource segment {message}"));
    group.chain(resource).collect()
}

pub(super) fn status(object: &Value) -> ErrorList {
    let (null, path) = (Value::Null, Path::new("status"));
    let status = object.get("status").unwrap_or(&null);
    let mut errors = ErrorList::new();
    let mut servers = Seen::default();
    for (at, server) in each_at(status, "storageVersions", &path) {
        let id = text_at(server, &["apiServerID"]);
        if !servers.is_new(id) {
            errors.push_with(|| Error::duplicate(&at.child("apiServerID"), id));
        }
        one_server(server, &at, &mut errors);
    }
    common(status, &path.child("commonEncodingVersion"), &mut errors);
    conditions(status.items_at(&["conditions"]), &path, &mut errors);
    errors
}

fn one_server(server: &Value, path: &Path, errors: &mut ErrorList) {
    errors.object_name(&path.child("apiServerID"), text_at(server, &["apiServerID"]));
    let encodes = text_at(server, &["encodingVersion"]);
    let faults = api_version(encodes);
    if !faults.is_empty() {
        errors.invalid(&path.child("encodingVersion"), encodes, faults.join(","));
    }
    let (decodes, at) = (texts_at(server, &["decodableVersions"]), path.child("decodableVersions"));
    for (index, version) in decodes.iter().enumerate() {
        let faults = api_version(version);
        if !faults.is_empty() {
            errors.invalid(&at.index(index), *version, faults.join(","));
        }
    }
    if !decodes.contains(&encodes) {
        let detail = format!("decodableVersions must include encodingVersion {encodes}");
        errors.invalid(&at, texts(&decodes), detail);
    }
    for (index, version) in texts_at(server, &["servedVersions"]).into_iter().enumerate() {
        let at = path.child("servedVersions").index(index);
        let faults = api_version(version);
        if !faults.is_empty() {
            errors.invalid(&at, version, faults.join(","));
        }
        if !decodes.contains(&version) {
            let all = decodes.join(" ");
            let detail =
                format!("individual served version : {version} must be included in decodableVersions : [{all}]");
            errors.invalid(&at, version, detail);
        }
    }
}

/// The version that all servers agree on, and only that, is the common one.
fn common(status: &Value, path: &Path, errors: &mut ErrorList) {
    let mut versions = status.items_at(&["storageVersions"]).iter().map(|server| text_at(server, &["encodingVersion"]));
    let agreed = versions.next().filter(|first| versions.all(|version| version == *first));
    match (agreed, status.str_at(&["commonEncodingVersion"])) {
        (None, Some(said)) => {
            let detail = "should be nil if servers do not agree on the same encoding version, or if there is no server \
                          reporting the supported versions yet";
            errors.invalid(path, said, detail);
        }
        (Some(agreed), None) => errors.invalid(path, Value::Null, format!("the common encoding version is {agreed}")),
        (Some(agreed), Some(said)) if said != agreed => {
            errors.invalid(path, said, format!("the actual common encoding version is {agreed}"));
        }
        _ => {}
    }
}

/// The paths name no field `conditions`, as upstream's do not.
fn conditions(conditions: &[Value], path: &Path, errors: &mut ErrorList) {
    let mut places: BTreeMap<&str, usize> = BTreeMap::new();
    for (index, condition) in conditions.iter().enumerate() {
        let at = path.index(index);
        let text = |field: &str| text_at(condition, &[field]);
        let ty = text("type");
        if let Some(place) = places.insert(ty, index) {
            let detail = format!("the type of the condition is not unique, it also appears in conditions[{place}]");
            errors.invalid(&at.child("type"), ty, detail);
        }
        errors.invalids(&at.child("type"), ty, is_qualified_name(ty));
        errors.invalids(&at.child("status"), text("status"), is_qualified_name(text("status")));
        for field in ["reason", "message"] {
            if text(field).is_empty() {
                errors.required(&at.child(field), &format!("{field} cannot be empty"));
            }
        }
    }
}

/// A version, its group before it.
fn api_version(text: &str) -> Vec<String> {
    const EMPTY: &str = "must be non-empty";
    let part = |name: &str, text: &str, check: fn(&str) -> Vec<String>| {
        let faults = if text.is_empty() { vec![EMPTY.to_owned()] } else { check(text) };
        faults.into_iter().map(|fault| format!("{name} part: {fault}")).collect::<Vec<_>>()
    };
    match text.split('/').collect::<Vec<_>>()[..] {
        [version] => part("version", version, is_dns1035_label),
        [group, version] => {
            let mut faults = part("group", group, is_dns1123_subdomain);
            faults.extend(part("version", version, is_dns1035_label));
            faults
        }
        _ => {
            let label = regex_message(
                "a DNS-1035 label, which must consist of lower case alphanumeric characters or '-', start with an \
                 alphabetic character, and end with an alphanumeric character",
                "[a-z]([-a-z0-9]*[a-z0-9])?",
                &["my-name", "abc-123"],
            );
            vec![format!(
                "an apiVersion is {label} with an optional DNS subdomain prefix and '/' (e.g. 'example.com/MyVersion')"
            )]
        }
    }
}

//! Rules of the versions of a definition, and of what all versions have in common.

use std::collections::BTreeSet;

use corten_apimachinery::{
    Value,
    field::{Error, ErrorList, Path},
    schema::{Structural, resolve_field_path},
};

use super::{hoist::Hoisted, ratchet::Requirements, schema};
use crate::report::Report;

/// The longest warning of a deprecated version.
const WARNING_MAX_BYTES: usize = 256;
/// The most fields that field selectors can name.
const SELECTABLE_MAX: usize = 8;

const COLUMN_TYPES: &[&str] = &["boolean", "date", "integer", "number", "string"];
const COLUMN_FORMATS: &[&str] = &["byte", "date", "date-time", "double", "float", "int32", "int64", "password"];

/// Rules of one version.
pub(super) fn check(
    version: &Value,
    hoisted: Hoisted<'_>,
    requirements: &Requirements,
    path: &Path,
    errors: &mut ErrorList,
) {
    deprecation(version, &path.child("deprecationWarning"), errors);
    if let Some(validation) = hoisted.own(version, "schema") {
        // Subresources that all versions have are those of each.
        let suppresses_cost = requirements.is_unchanged(version.str_at(&["name"]).unwrap_or_default());
        let has_status = Hoisted::has_status(version);
        schema::check(validation, has_status, suppresses_cost, requirements, &path.child("schema"), errors);
    }
    if let Some(subresources) = hoisted.own(version, "subresources") {
        scale(subresources, &path.child("subresources"), errors);
    }
    if let Some(columns) = hoisted.own(version, "additionalPrinterColumns") {
        self::columns(columns, &path.child("additionalPrinterColumns"), errors);
    }
    let fields = hoisted.own(version, "selectableFields").and_then(Value::as_array).unwrap_or_default();
    if !fields.is_empty() {
        let at = path.child("selectableFields");
        match hoisted.own(version, "schema").and_then(|validation| validation.get("openAPIV3Schema")) {
            None => {
                let detail = "selectableFields may only be set when version.schema.openAPIV3Schema is not included";
                errors.invalid(&at, "", detail);
            }
            Some(schema) => selectable_fields(fields, schema, &at, path, errors),
        }
    }
}

/// Rules of what all versions have in common.
pub(super) fn check_common(
    versions: &[Value],
    hoisted: Hoisted<'_>,
    requirements: &Requirements,
    path: &Path,
    errors: &mut ErrorList,
) {
    if let Some(validation) = hoisted.common("schema") {
        let first = versions.first().and_then(|version| version.str_at(&["name"])).unwrap_or_default();
        let has_status = versions.iter().any(Hoisted::has_status);
        let suppresses_cost = requirements.is_unchanged(first);
        schema::check(validation, has_status, suppresses_cost, requirements, &path.child("validation"), errors);
    }
    if let Some(subresources) = hoisted.common("subresources") {
        scale(subresources, &path.child("subresources"), errors);
    }
    if let Some(columns) = hoisted.common("additionalPrinterColumns") {
        self::columns(columns, &path.child("additionalPrinterColumns"), errors);
    }
    let fields = hoisted.common("selectableFields").and_then(Value::as_array).unwrap_or_default();
    if !fields.is_empty() {
        let at = path.child("selectableFields");
        match hoisted.common("schema") {
            None => {
                errors.invalid(&at, "", "selectableFields may only be set when validations.schema is included");
            }
            Some(validation) => {
                let empty = Value::object();
                let schema = validation.get("openAPIV3Schema").unwrap_or(&empty);
                selectable_fields(fields, schema, &at, path, errors);
            }
        }
    }
}

fn deprecation(version: &Value, path: &Path, errors: &mut ErrorList) {
    let Some(warning) = version.str_at(&["deprecationWarning"]) else { return };
    let mut invalid = |detail: String| errors.invalid(path, warning, detail);
    if version.bool_at(&["deprecated"]) != Some(true) {
        return invalid("can only be set for deprecated versions".to_owned());
    }
    if warning.len() > WARNING_MAX_BYTES {
        invalid(format!("must be <= {WARNING_MAX_BYTES} characters long"));
    }
    if warning.is_empty() {
        invalid("must not be an empty string".to_owned());
    }
    let unprintable = |c: char| c.is_control() || (c.is_whitespace() && c != ' ');
    if let Some((at, _)) = warning.char_indices().find(|(_, c)| unprintable(*c)) {
        invalid(format!("must only contain printable UTF-8 characters; non-printable character found at index {at}"));
    }
}

fn columns(columns: &Value, path: &Path, errors: &mut ErrorList) {
    for (index, column) in columns.as_array().unwrap_or_default().iter().enumerate() {
        let at = path.index(index);
        let text = |field: &str| column.str_at(&[field]).unwrap_or_default();
        errors.require(&at.child("name"), text("name"));
        let types = format!("must be one of {}", COLUMN_TYPES.join(","));
        match text("type") {
            "" => errors.required(&at.child("type"), &types),
            ty if !COLUMN_TYPES.contains(&ty) => errors.invalid(&at.child("type"), ty, types),
            _ => {}
        }
        let format = text("format");
        if !format.is_empty() && !COLUMN_FORMATS.contains(&format) {
            errors.invalid(&at.child("format"), format, format!("must be one of {}", COLUMN_FORMATS.join(",")));
        }
        let json_path = at.child("JSONPath");
        if errors.require(&json_path, text("jsonPath")) {
            simple_json_path(text("jsonPath"), &json_path, errors);
        }
    }
}

/// A path that begins with a dot. Says whether it is one.
fn simple_json_path(text: &str, path: &Path, errors: &mut ErrorList) -> bool {
    let is_simple = text.starts_with('.');
    if !is_simple {
        errors.invalid(path, text, "must be a simple json path starting with .");
    }
    is_simple
}

fn scale(subresources: &Value, path: &Path, errors: &mut ErrorList) {
    let Some(scale) = subresources.get("scale").filter(|scale| !scale.is_null()) else { return };
    for (field, parents, detail) in [
        ("specReplicasPath", &[".spec."][..], "should be a json path under .spec"),
        ("statusReplicasPath", &[".status."], "should be a json path under .status"),
        ("labelSelectorPath", &[".spec.", ".status."], "should be a json path under either .spec or .status"),
    ] {
        let at = path.child(format!("scale.{field}"));
        let text = scale.str_at(&[field]).unwrap_or_default();
        if text.is_empty() {
            if field != "labelSelectorPath" {
                errors.required(&at, "");
            }
        } else if simple_json_path(text, &at, errors) && !parents.iter().any(|parent| text.starts_with(parent)) {
            errors.invalid(&at, text, detail);
        }
    }
}

fn selectable_fields(fields: &[Value], schema: &Value, path: &Path, owner: &Path, errors: &mut ErrorList) {
    let schema = match Structural::from_props(schema) {
        Ok(schema) => schema,
        Err(error) => {
            errors.invalid(&owner.child("schema.openAPIV3Schema"), "", error.to_string());
            return;
        }
    };
    let mut seen = BTreeSet::new();
    for (index, field) in fields.iter().enumerate() {
        let at = path.index(index).child("jsonPath");
        let json_path = field.str_at(&["jsonPath"]).unwrap_or_default();
        if !errors.require(&at, json_path) {
            continue;
        }
        let (resolved, found) = match resolve_field_path(json_path, &schema, false) {
            Ok(found) => found,
            Err(error) => {
                errors.invalid(&at, json_path, format!("is an invalid path: {error}"));
                continue;
            }
        };
        let resolved = resolved.to_string();
        if resolved == "metadata" || resolved.starts_with("metadata.") {
            errors.invalid(&at, json_path, "must not point to fields in metadata");
        }
        if !matches!(found.generic.ty.as_str(), "string" | "boolean" | "integer") {
            let detail = "must point to a field of type string, boolean or integer. Enum string fields and strings with \
                          formats are allowed.";
            errors.invalid(&at, json_path, detail);
        }
        if !seen.insert(resolved) {
            errors.push(Error::duplicate(&at, json_path));
        }
    }
    if seen.len() > SELECTABLE_MAX {
        errors.push(Error::too_many(path, seen.len(), SELECTABLE_MAX));
    }
}

//! The `apiVersion`, `kind` and `metadata` of objects, at the root and embedded, which no schema describes.
//!
//! Upstream: k8s.io/apiextensions-apiserver/pkg/apiserver/schema/objectmeta (v1.35).

use super::{Structural, UnknownFields, prune::is_meta_field};
use crate::{
    codec::{DecodeError, FieldValidation, json},
    field::{Error, ErrorList, Path},
    gvk::GroupVersion,
    meta::ObjectMeta as _,
    type_table::{TypeId, TypeTable},
    validation::{is_dns1035_label, is_path_segment_name_prefixed, validate_object_meta},
    value::{Map, Str, Value},
};

/// The type of `metadata`.
#[derive(Debug, Clone, Copy)]
pub struct MetaType<'t> {
    table: &'t TypeTable,
    id: TypeId,
}

impl<'t> MetaType<'t> {
    /// The name of the type.
    pub const NAME: &'static str = "io.k8s.apimachinery.pkg.apis.meta.v1.ObjectMeta";

    /// The type in `table`, if it is there.
    #[must_use]
    pub fn of(table: &'t TypeTable) -> Option<Self> {
        Some(Self { table, id: table.find(Self::NAME)? })
    }

    /// Reads metadata as its type, without what the type does not know, and tells that by path.
    fn read(self, metadata: &Value) -> Result<(Value, Vec<String>), DecodeError> {
        let bytes = json::encode(metadata, None);
        let decoded = json::decode(&bytes, Some((self.table, self.id)), FieldValidation::Warn)?;
        let unknown = decoded.complaints();
        let paths =
            unknown.iter().filter_map(|complaint| complaint.strip_prefix("unknown field \"")?.strip_suffix('"'));
        let paths = paths.map(str::to_owned).collect();
        let mut metadata = decoded.value;
        // Upstream writes the zero time as null, and takes it away.
        if metadata.get("creationTimestamp").is_some_and(Value::is_null) {
            metadata.unset(&["creationTimestamp"]);
        }
        Ok((metadata, paths))
    }

    /// Reads metadata field by field, leaving out those that do not fit their type.
    fn read_what_fits(self, metadata: &Map) -> (Value, Vec<String>) {
        let (mut fitting, mut unknown) = (Vec::new(), Vec::new());
        for (name, value) in metadata.entries() {
            let single = Value::object_of([(name.clone(), value.clone())]);
            let Ok((Value::Object(read), paths)) = self.read(&single) else { continue };
            fitting.extend(read.into_entries().into_iter().filter(|(key, _)| key == name));
            unknown.extend(paths);
        }
        (Value::Object(Map::of_last(fitting)), unknown)
    }
}

/// Brings the metadata of the object and of those embedded in it into the form of its type: what the type does not know
/// goes, and is noted. With `drop_invalid`, what does not fit goes as well.
///
/// Errors: what does not fit, if it is not dropped.
pub fn coerce_object_meta(
    path: &Path,
    value: &mut Value,
    schema: &Structural,
    is_resource_root: bool,
    meta: MetaType<'_>,
    drop_invalid: bool,
    unknown: &mut UnknownFields,
) -> Result<(), Error> {
    let mut coercer = Coercer { meta, drop_invalid, unknown };
    coercer.coerce(path, value, schema, is_resource_root)
}

struct Coercer<'a, 't> {
    meta: MetaType<'t>,
    drop_invalid: bool,
    unknown: &'a mut UnknownFields,
}

impl Coercer<'_, '_> {
    fn coerce(
        &mut self,
        path: &Path,
        value: &mut Value,
        schema: &Structural,
        is_resource_root: bool,
    ) -> Result<(), Error> {
        match value {
            Value::Object(map) => {
                if is_resource_root || schema.extensions.embedded_resource {
                    self.coerce_resource(path, map)?;
                }
                if schema.properties.is_empty() && schema.additional_properties.is_none() {
                    return Ok(());
                }
                // Nothing is embedded where nothing is an object.
                let compound = |value: &Value| matches!(value, Value::Array(_) | Value::Object(_));
                if !map.iter().any(|(_, child)| compound(child)) {
                    return Ok(());
                }
                for (name, child) in map.iter_mut().filter(|(_, child)| compound(child)) {
                    let Some(field) = schema.field(name) else { continue };
                    let is_property = schema.properties.contains_key(name);
                    let path = if is_property { path.child(name) } else { path.key(name) };
                    self.coerce(&path, child, field, false)?;
                }
            }
            Value::Array(_) => {
                let Some(items) = &schema.items else { return Ok(()) };
                for (index, item) in value.as_array_mut().into_iter().flatten().enumerate() {
                    self.coerce(&path.index(index), item, items, false)?;
                }
            }
            _ => {}
        }
        Ok(())
    }

    fn coerce_resource(&mut self, path: &Path, map: &mut Map) -> Result<(), Error> {
        for name in ["apiVersion", "kind"] {
            match map.get(name) {
                None | Some(Value::String(_)) => {}
                Some(_) if self.drop_invalid => {
                    map.remove(name);
                }
                Some(other) => return Err(Error::invalid(&path.child(name), other.clone(), "must be a string")),
            }
        }
        let Some(metadata) = map.get("metadata") else { return Ok(()) };
        let at = path.child("metadata");
        let (coerced, unknown) = match (self.meta.read(metadata), metadata) {
            (Ok(read), _) => read,
            (Err(_), Value::Object(fields)) if self.drop_invalid => self.meta.read_what_fits(fields),
            // Metadata that is no object at all stays; it is refused later.
            (Err(_), _) if self.drop_invalid => return Ok(()),
            (Err(error), _) => return Err(Error::invalid(&at, metadata.clone(), error.to_string())),
        };
        for name in unknown {
            self.unknown.note(at.child(name).to_string());
        }
        // A null is an absence.
        let coerced = if coerced.is_null() { Value::object() } else { coerced };
        map.insert(Str::const_new("metadata"), coerced);
        Ok(())
    }
}

/// Every rule that the `apiVersion`, `kind` and `metadata` of embedded objects break, and of `value` itself if it is a whole
/// object.
#[must_use]
pub fn validate_embedded(
    path: &Path,
    value: &Value,
    schema: &Structural,
    is_resource_root: bool,
    meta: MetaType<'_>,
) -> ErrorList {
    let mut errors = ErrorList::new();
    validate(path, value, schema, is_resource_root, meta, &mut errors);
    errors
}

fn validate(
    path: &Path,
    value: &Value,
    schema: &Structural,
    is_resource_root: bool,
    meta: MetaType<'_>,
    errors: &mut ErrorList,
) {
    match value {
        Value::Object(map) => {
            if is_resource_root || schema.extensions.embedded_resource {
                validate_resource(path, map, meta, errors);
            }
            if schema.properties.is_empty() && schema.additional_properties.is_none() {
                return;
            }
            for (name, child) in map.iter().filter(|(_, child)| matches!(child, Value::Array(_) | Value::Object(_))) {
                let Some(field) = schema.field(name) else { continue };
                let is_property = schema.properties.contains_key(name);
                let path = if is_property { path.child(name) } else { path.key(name) };
                validate(&path, child, field, false, meta, errors);
            }
        }
        Value::Array(items) => {
            let Some(schema) = &schema.items else { return };
            for (index, item) in items.iter().enumerate() {
                if errors.is_full() {
                    return;
                }
                validate(&path.index(index), item, schema, false, meta, errors);
            }
        }
        _ => {}
    }
}

fn validate_resource(path: &Path, map: &Map, meta: MetaType<'_>, errors: &mut ErrorList) {
    for name in ["apiVersion", "kind"] {
        if !map.contains_key(name) {
            errors.push(Error::required(&path.child(name), ""));
        }
    }
    for (name, value) in map.iter().filter(|(name, _)| is_meta_field(name)) {
        let at = path.child(name);
        match (name, value) {
            ("apiVersion" | "kind", Value::String(text)) if text.is_empty() => errors.push(Error::required(&at, "")),
            ("apiVersion", Value::String(text)) => {
                if GroupVersion::parse(text).is_none() {
                    errors.push(Error::invalid(&at, text.clone(), format!("unexpected GroupVersion string: {text}")));
                }
            }
            ("kind", Value::String(text)) => {
                let reasons = is_dns1035_label(&text.to_ascii_lowercase());
                if !reasons.is_empty() {
                    let detail = format!("may have mixed case, but should otherwise match: {}", reasons.join(","));
                    errors.push(Error::invalid(&at, text.clone(), detail));
                }
            }
            ("metadata", metadata) => match meta.read(metadata) {
                Err(error) => errors.push_with(|| Error::invalid(&at, metadata.clone(), error.to_string())),
                Ok((metadata, _)) => {
                    let mut object = Value::object_of([("metadata", metadata)]);
                    // The name of an embedded object may be left out.
                    if object.name().is_empty() {
                        object.set_meta("name", "fakename");
                    }
                    let is_namespaced = !object.namespace().is_empty();
                    errors.extend(validate_object_meta(&object, is_namespaced, &is_path_segment_name_prefixed, &at));
                }
            },
            (_, other) => errors.push_with(|| Error::invalid(&at, other.clone(), "must be a string")),
        }
    }
}

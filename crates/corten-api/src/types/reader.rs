//! Reads the text form of the type table. Its header describes the form; the writer is `xtask/src/codegen/write.rs`.

use std::{collections::HashMap, sync::Arc};

use corten_apimachinery::{
    Str, Value,
    type_table::{Field, FieldType, ListType, PatchStrategy, Presence, Shape, Struct, Type, TypeId, TypeTable, Union},
};

/// The version of the form that this module understands.
const FORM: &str = "corten-types 1";

/// Fields whose empty lists mean something else than none, though no upstream type says so.
const TELLING_EMPTY: &[(&str, &str)] = &[
    // Only where it is nil does a default take its place: `copyHPAScalingRules` in pkg/apis/autoscaling/v2/defaults.go (v1.35).
    ("io.k8s.api.autoscaling.v2.HPAScalingRules", "policies"),
    // Its refusal shows the list as it was sent: `ValidateIngressSpec` in pkg/apis/networking/validation (v1.35).
    ("io.k8s.api.networking.v1.IngressSpec", "rules"),
];

/// A line of the table that does not fit the form.
#[derive(Debug, thiserror::Error)]
#[error("line {line}: {reason}")]
pub(super) struct ReadError {
    line: usize,
    reason: String,
}

/// Reads a table.
pub(super) fn read(text: &str) -> Result<TypeTable, ReadError> {
    if text.lines().next() != Some(FORM) {
        return Err(ReadError { line: 1, reason: format!("not of the form {FORM:?}") });
    }
    let mut reader =
        Reader { table: TypeTable::default(), ids: HashMap::new(), package: Package::default(), current: None };
    reader.declare(text);
    for (index, line) in text.lines().enumerate().skip(1) {
        reader.line(line).map_err(|reason| ReadError { line: index + 1, reason })?;
    }
    reader.finish_type();
    Ok(reader.table)
}

struct Reader<'a> {
    table: TypeTable,
    /// By the package's short name and the type's name.
    ids: HashMap<(&'a str, &'a str), TypeId>,
    package: Package<'a>,
    /// The type whose fields follow.
    current: Option<(Type, Vec<Field>)>,
}

#[derive(Default)]
struct Package<'a> {
    short: &'a str,
    name: &'a str,
    group: &'a str,
    version: &'a str,
}

impl<'a> Reader<'a> {
    /// Gives every type its place, so that references may go forward.
    fn declare(&mut self, text: &'a str) {
        let mut package = Package::default();
        let mut name = String::new();
        for line in text.lines() {
            if let Some(rest) = line.strip_prefix("type ") {
                let short = Words(rest).next().unwrap_or_default();
                name.clear();
                name.extend([package.name, ".", short]);
                self.ids.insert((package.short, short), self.table.declare(&name));
            } else if let Some(rest) = line.strip_prefix("package ") {
                package = Package::read(rest);
            }
        }
    }

    fn line(&mut self, line: &'a str) -> Result<(), String> {
        if let Some(field) = line.strip_prefix("  ") {
            let field = self.field(field)?;
            let (_, fields) = self.current.as_mut().ok_or("a field outside of a type")?;
            fields.push(field);
        } else if let Some(rest) = line.strip_prefix("type ") {
            self.finish_type();
            self.current = Some(self.ty(rest)?);
        } else if let Some(rest) = line.strip_prefix("package ") {
            self.finish_type();
            self.package = Package::read(rest);
        } else if !line.is_empty() && !line.starts_with('#') {
            return Err("neither package, type, field nor comment".into());
        }
        Ok(())
    }

    fn finish_type(&mut self) {
        let Some((mut ty, mut fields)) = self.current.take() else { return };
        for (_, name) in TELLING_EMPTY.iter().filter(|(owner, _)| ty.name == *owner) {
            fields.iter_mut().filter(|field| field.name == *name).for_each(|field| field.tells_empty = true);
        }
        if let Shape::Struct(shape) = &mut ty.shape {
            let Struct { atomic, unions, .. } = std::mem::take(shape);
            *shape = Struct { atomic, unions, ..Struct::new(fields) };
        }
        self.table.define(ty);
    }

    fn ty(&self, text: &'a str) -> Result<(Type, Vec<Field>), String> {
        let mut words = Words(text);
        let kind = words.next().unwrap_or_default();
        let shape = match words.next().unwrap_or_default() {
            "struct" => Shape::Struct(Struct::default()),
            "alias" => Shape::Alias(self.field_type(words.next().unwrap_or_default())?),
            "quantity" => Shape::Quantity,
            "int-or-string" => Shape::IntOrString,
            "time" => Shape::Time,
            "micro-time" => Shape::MicroTime,
            "duration" => Shape::Duration,
            "raw-extension" => Shape::RawExtension,
            "fields-v1" => Shape::FieldsV1,
            "json" => Shape::Json,
            "schema-or-bool" => Shape::JsonSchemaOrBool(self.id(words.next().unwrap_or_default())?),
            "schema-or-array" => Shape::JsonSchemaOrArray(self.id(words.next().unwrap_or_default())?),
            "schema-or-string-array" => Shape::JsonSchemaOrStringArray(self.id(words.next().unwrap_or_default())?),
            other => return Err(format!("unknown shape {other:?}")),
        };
        let name = [self.package.name, ".", kind].into_iter().collect();
        let mut ty = Type { name, shape, kinds: Vec::new(), served: false };
        for word in words {
            match (pair(word), &mut ty.shape) {
                (("served", ""), _) => ty.served = true,
                (("kind", ""), _) => {
                    ty.kinds.push((self.package.group.into(), self.package.version.into(), kind.into()))
                }
                (("kinds", versions), _) => ty.kinds.extend(versions.split(',').map(|api_version| {
                    let (group, version) = api_version.split_once('/').unwrap_or(("", api_version));
                    (group.into(), version.into(), kind.into())
                })),
                (("atomic", ""), Shape::Struct(shape)) => shape.atomic = true,
                (("union", text), Shape::Struct(shape)) => shape.unions.push(union(text)?),
                _ => return Err(format!("unknown word {word:?}")),
            }
        }
        Ok((ty, Vec::new()))
    }

    fn field(&self, text: &'a str) -> Result<Field, String> {
        let mut words = Words(text);
        let mut next = || words.next().ok_or("a field needs name, type, numbers and presence");
        let mut field = Field { name: next()?.into(), ty: self.field_type(next()?)?, ..Field::default() };
        let numbers = next()?;
        if numbers != "-" {
            for number in numbers.split('.') {
                field.numbers.push(number.parse().map_err(|_| format!("number {numbers:?}"))?);
            }
        }
        field.presence = match next()? {
            "always" => Presence::Always,
            "omitempty" => Presence::OmitEmpty,
            "omitzero" => Presence::OmitZero,
            "pointer" => Presence::Pointer,
            "nullable" => Presence::PointerAlways,
            other => return Err(format!("unknown presence {other:?}")),
        };
        loop {
            if let Some(values) = words.0.strip_prefix("enum=") {
                // The last word, and it may have spaces.
                field.enum_values = texts(values);
                break;
            }
            let Some(word) = words.next() else { break };
            match pair(word) {
                ("required", "") => field.required = true,
                ("list", value) => field.list = Some(list_type(value)?),
                ("map", value) => field.atomic = Some(value == "atomic"),
                ("patch", value) => field.patch = patch_strategy(value)?,
                ("default", value) => field.default = Some(scalar(value)?),
                ("gate", value) => field.feature_gates = texts(value),
                _ => return Err(format!("unknown word {word:?}")),
            }
        }
        Ok(field)
    }

    fn field_type(&self, text: &'a str) -> Result<FieldType, String> {
        if let Some(item) = text.strip_prefix("[]") {
            return Ok(FieldType::List(Arc::new(self.field_type(item)?)));
        }
        if let Some(value) = text.strip_prefix("{}") {
            return Ok(FieldType::Map(Arc::new(self.field_type(value)?)));
        }
        Ok(match text {
            "string" => FieldType::String,
            "bool" => FieldType::Bool,
            "int32" => FieldType::Int32,
            "int64" => FieldType::Int64,
            "double" => FieldType::Double,
            "bytes" => FieldType::Bytes,
            _ => FieldType::Ref(self.id(text)?),
        })
    }

    fn id(&self, text: &'a str) -> Result<TypeId, String> {
        let key = text.rsplit_once('.').unwrap_or((self.package.short, text));
        self.ids.get(&key).copied().ok_or_else(|| format!("no type {text:?}"))
    }
}

impl<'a> Package<'a> {
    fn read(text: &'a str) -> Self {
        let mut words = Words(text);
        let mut next = || words.next().unwrap_or_default();
        let (short, name, api_version) = (next(), next(), next());
        let (group, version) = api_version.split_once('/').unwrap_or(("", api_version));
        Self { short, name, group, version }
    }
}

/// The words of a line. By plain loop: words are too short for the searches of the standard library to pay.
struct Words<'a>(&'a str);

impl<'a> Iterator for Words<'a> {
    type Item = &'a str;

    fn next(&mut self) -> Option<&'a str> {
        if self.0.is_empty() {
            return None;
        }
        let (word, rest) = split_at_byte(self.0, b' ').unwrap_or((self.0, ""));
        self.0 = rest;
        Some(word)
    }
}

/// `key=value`, or a word alone.
fn pair(word: &str) -> (&str, &str) {
    split_at_byte(word, b'=').unwrap_or((word, ""))
}

fn split_at_byte(text: &str, ascii: u8) -> Option<(&str, &str)> {
    let at = text.bytes().position(|byte| byte == ascii)?;
    Some((&text[..at], &text[at + 1..]))
}

fn texts(text: &str) -> Vec<Str> {
    text.split(',').map(Str::from).collect()
}

fn list_type(text: &str) -> Result<ListType, String> {
    match text {
        "atomic" => Ok(ListType::Atomic),
        "set" => Ok(ListType::Set),
        _ => match text.strip_prefix("map(").and_then(|rest| rest.strip_suffix(')')) {
            Some(keys) => Ok(ListType::Map(texts(keys))),
            None => Err(format!("unknown list type {text:?}")),
        },
    }
}

fn patch_strategy(text: &str) -> Result<PatchStrategy, String> {
    let (strategies, key) = text.split_once('/').unwrap_or((text, ""));
    let mut patch = PatchStrategy { merge_key: (!key.is_empty()).then(|| key.into()), ..PatchStrategy::default() };
    for strategy in strategies.split(',').filter(|strategy| !strategy.is_empty()) {
        match strategy {
            "merge" => patch.merge = true,
            "replace" => patch.replace = true,
            "retainKeys" => patch.retain_keys = true,
            _ => return Err(format!("unknown patch strategy {strategy:?}")),
        }
    }
    Ok(patch)
}

fn union(text: &str) -> Result<Union, String> {
    let (discriminator, members) = text.split_once(':').ok_or("a union without discriminator")?;
    let pairs =
        members.split(',').map(|member| member.split_once('=').map(|(field, value)| (field.into(), value.into())));
    let members = pairs.collect::<Option<_>>().ok_or("a union member without value")?;
    Ok(Union { discriminator: Some(discriminator.into()), members })
}

/// A JSON text, truth value or integer; defaults are nothing else.
fn scalar(text: &str) -> Result<Value, String> {
    if let Some(text) = text.strip_prefix('"').and_then(|rest| rest.strip_suffix('"')) {
        return Ok(text.into());
    }
    match text {
        "true" => Ok(true.into()),
        "false" => Ok(false.into()),
        _ => text.parse::<i64>().map(Value::from).map_err(|_| format!("unknown default {text:?}")),
    }
}

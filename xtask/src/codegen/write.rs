//! The text form of the table; `corten-api`'s `types` module reads it.

use std::fmt::Write as _;

use super::resolve::{Field, Package, Shape, Table, Ty, Type, alias};

/// The first line tells the form's version; a change of form changes it here and in the reader.
const HEADER: &str = "\
corten-types 1
# Types of the Kubernetes v1.35 API. Made by `cargo xtask codegen api`; do not edit.
#   package SHORT NAME API-VERSION|-
#   type NAME SHAPE [served] [kinds=API-VERSION,..|kind: the package's] [atomic] [union=DISCRIMINATOR:FIELD=VALUE,..]
#     FIELD TYPE NUMBERS|- PRESENCE [list=..] [map=..] [patch=STRATEGY,../KEY] [default=JSON] [gate=..] [required] [enum=..]
# TYPE: a scalar, []TYPE, {}TYPE (map), NAME of this package or SHORT.NAME. NUMBERS: in protobuf, through inlined messages.
# The values of an enum may have spaces, so they come last; one may be empty.
# PRESENCE: always | omitempty | omitzero (values), pointer (left out when absent) | nullable (null when absent).
";

/// The text of the table.
pub(crate) fn print(table: &Table) -> String {
    let mut out = String::from(HEADER);
    for package in &table.packages {
        let api_version = package.api_version.as_deref().unwrap_or("-");
        line(&mut out, format_args!("\npackage {} {} {api_version}", package.alias, package.name));
        for ty in &package.types {
            print_type(&mut out, package, ty);
        }
    }
    out
}

fn line(out: &mut String, text: std::fmt::Arguments<'_>) {
    writeln!(out, "{text}").expect("writing to a string succeeds");
}

fn print_type(out: &mut String, package: &Package, ty: &Type) {
    let mut words = vec![format!("type {}", ty.name)];
    match &ty.shape {
        Shape::Struct { .. } => words.push("struct".into()),
        Shape::Alias(target) => words.extend(["alias".into(), type_text(package, target)]),
        Shape::Special(word, None) => words.push((*word).into()),
        Shape::Special(word, Some(schema)) => words.extend([(*word).into(), type_text(package, schema)]),
    }
    if ty.served {
        words.push("served".into());
    }
    match ty.kinds.as_slice() {
        [] => {}
        [own] if Some(own) == package.api_version.as_ref() => words.push("kind".into()),
        kinds => words.push(format!("kinds={}", kinds.join(","))),
    }
    if let Shape::Struct { atomic, union, .. } = &ty.shape {
        if *atomic {
            words.push("atomic".into());
        }
        if let Some((discriminator, members)) = union {
            let members: Vec<String> = members.iter().map(|(field, value)| format!("{field}={value}")).collect();
            words.push(format!("union={discriminator}:{}", members.join(",")));
        }
    }
    line(out, format_args!("{}", words.join(" ")));
    if let Shape::Struct { fields, .. } = &ty.shape {
        for field in fields {
            line(out, format_args!("  {}", field_text(package, field)));
        }
    }
}

fn field_text(package: &Package, field: &Field) -> String {
    let numbers: Vec<String> = field.numbers.iter().map(u32::to_string).collect();
    let numbers = if numbers.is_empty() { "-".to_owned() } else { numbers.join(".") };
    let mut text = format!("{} {} {numbers} {}", field.name, type_text(package, &field.ty), field.presence);
    let mut push = |key: &str, value: &str| {
        if !value.is_empty() {
            text.push_str(&format!(" {key}={value}"));
        }
    };
    push("list", field.list.as_deref().unwrap_or_default());
    push("map", field.map.as_deref().unwrap_or_default());
    push("patch", &field.patch);
    push("default", field.default.as_deref().unwrap_or_default());
    push("gate", &field.gates.join(","));
    if field.required {
        text.push_str(" required");
    }
    if !field.enum_values.is_empty() {
        text.push_str(&format!(" enum={}", field.enum_values.join(",")));
    }
    text
}

fn type_text(package: &Package, ty: &Ty) -> String {
    match ty {
        Ty::Scalar(name) => (*name).to_owned(),
        Ty::List(item) => format!("[]{}", type_text(package, item)),
        Ty::Map(value) => format!("{{}}{}", type_text(package, value)),
        Ty::Ref { package: path, name } => {
            let to = alias(path);
            if to == package.alias { name.clone() } else { format!("{to}.{name}") }
        }
    }
}

//! Protobuf messages: upstream's `generated.proto` files, which are regular enough to be read by line.

use std::{collections::BTreeMap, fs, path::Path};

use anyhow::Context;

/// The messages by (Go package path, message name).
pub(crate) type Messages = BTreeMap<(String, String), Message>;

/// The fields of a message by number.
pub(crate) type Message = BTreeMap<u32, Field>;

/// A field of a message.
#[derive(Debug)]
pub(crate) struct Field {
    pub(crate) name: String,
    /// The type: a scalar's name, or `package path/Message`.
    pub(crate) ty: String,
    pub(crate) label: Label,
}

/// How often a field is there.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Label {
    Optional,
    Repeated,
    /// Values of a map with text keys.
    Map,
}

/// Reads all files below `folder`.
pub(crate) fn read(folder: &Path) -> anyhow::Result<Messages> {
    let mut texts = Vec::new();
    collect(folder, &mut texts)?;
    // Types are written by protobuf package; everything else goes by Go package.
    let packages: BTreeMap<&str, &str> =
        texts.iter().filter_map(|text| Some((statement(text, "package ")?, go_package(text)?))).collect();
    let mut messages = Messages::new();
    for text in &texts {
        let own = go_package(text).context("a file without go_package")?;
        let mut current: Option<(String, Message)> = None;
        for line in text.lines() {
            if let Some(name) = line.strip_prefix("message ") {
                current = Some((name.trim_end_matches(" {").to_owned(), Message::new()));
            } else if line.starts_with('}') {
                if let Some((name, fields)) = current.take() {
                    messages.insert((own.to_owned(), name), fields);
                }
            } else if let Some((_, fields)) = &mut current
                && let Some((number, field)) =
                    field(line.trim(), own, &packages).with_context(|| format!("line {line:?}"))?
            {
                fields.insert(number, field);
            }
        }
    }
    Ok(messages)
}

fn collect(folder: &Path, texts: &mut Vec<String>) -> anyhow::Result<()> {
    for entry in fs::read_dir(folder).with_context(|| format!("read {}", folder.display()))? {
        let path = entry?.path();
        if path.is_dir() {
            collect(&path, texts)?;
        } else if path.extension().is_some_and(|extension| extension == "proto") {
            texts.push(fs::read_to_string(&path)?);
        }
    }
    Ok(())
}

fn statement<'a>(text: &'a str, keyword: &str) -> Option<&'a str> {
    text.lines().find_map(|line| line.strip_prefix(keyword)?.strip_suffix(';'))
}

fn go_package(text: &str) -> Option<&str> {
    Some(statement(text, "option go_package = ")?.trim_matches('"'))
}

fn field(line: &str, own: &str, packages: &BTreeMap<&str, &str>) -> anyhow::Result<Option<(u32, Field)>> {
    let (label, rest) = if let Some(rest) = line.strip_prefix("optional ") {
        (Label::Optional, rest)
    } else if let Some(rest) = line.strip_prefix("repeated ") {
        (Label::Repeated, rest)
    } else if let Some(rest) = line.strip_prefix("map<string, ") {
        (Label::Map, rest)
    } else {
        return Ok(None);
    };
    let (declaration, number) = rest.split_once(" = ").context("no number")?;
    let (ty, name) = declaration.rsplit_once(' ').context("no type")?;
    let number = number.split([' ', ';']).next().unwrap_or_default().parse().context("number")?;
    Ok(Some((number, Field { name: name.to_owned(), ty: qualify(ty.trim_end_matches('>'), own, packages)?, label })))
}

/// The Go package and name of a message type; scalars as they are.
fn qualify(ty: &str, own: &str, packages: &BTreeMap<&str, &str>) -> anyhow::Result<String> {
    let Some(absolute) = ty.strip_prefix('.') else {
        let scalar = ty.starts_with(|first: char| first.is_ascii_lowercase());
        return Ok(if scalar { ty.to_owned() } else { format!("{own}.{ty}") });
    };
    let (package, name) = absolute.rsplit_once('.').context("a type without package")?;
    let path = packages.get(package).with_context(|| format!("unknown package {package}"))?;
    Ok(format!("{path}.{name}"))
}

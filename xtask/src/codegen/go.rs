//! Go declarations as facts: `go-fields.tsv` (types, fields, tags, markers) and `go-constants.tsv` (values of named types).

use std::collections::{BTreeMap, HashMap};

use anyhow::{Context, bail, ensure};

/// Enums whose constants the data lists without their type, or not at all, as they are written as conversions:
/// `PathTypeExact = PathType("Exact")`, `AddressTypeIPv4 = AddressType(v1.IPv4Protocol)`.
const CONVERTED: [(&str, &[&str]); 3] = [
    ("AddressType", &["FQDN", "IPv4", "IPv6"]),
    ("DeviceAllocationMode", &["All", "ExactCount"]),
    ("PathType", &["Exact", "ImplementationSpecific", "Prefix"]),
];

/// All declarations, by package path and type name.
#[derive(Clone)]
pub(crate) struct Source {
    types: BTreeMap<String, BTreeMap<String, Declaration>>,
    /// Values of constants, by package path and type name, in declared order: (constant, value).
    constants: HashMap<(String, String), Vec<(String, String)>>,
}

/// One declared type.
#[derive(Debug, Default, Clone)]
pub(crate) struct Declaration {
    /// The type that this is another name of, unless this is a struct.
    pub(crate) alias: Option<String>,
    /// `+name=value` comments.
    pub(crate) markers: Markers,
    /// The fields in declared order.
    pub(crate) fields: Vec<Field>,
}

/// One field as declared.
#[derive(Debug, Clone)]
pub(crate) struct Field {
    /// The name in Go.
    pub(crate) go_name: String,
    /// The name in JSON; empty for an inlined struct.
    pub(crate) json_name: String,
    /// The type as written.
    pub(crate) ty: String,
    /// The number in protobuf, if it has one.
    pub(crate) number: Option<u32>,
    pub(crate) omit_empty: bool,
    pub(crate) omit_zero: bool,
    pub(crate) inline: bool,
    /// `strategies/merge key`; empty without.
    pub(crate) patch: String,
    pub(crate) markers: Markers,
}

/// `+name=value` comments, in their order.
#[derive(Debug, Default, Clone)]
pub(crate) struct Markers(Vec<(String, String)>);

impl Markers {
    fn parse(text: &str) -> Self {
        let parts = text.split(" ; ").flat_map(|part| part.split(" +"));
        let pairs = parts.map(|part| part.trim().trim_start_matches('+')).filter(|part| !part.is_empty());
        Self(pairs.map(|part| part.split_once('=').unwrap_or((part, ""))).map(|(a, b)| (a.into(), b.into())).collect())
    }

    /// Whether there is one of this name.
    pub(crate) fn has(&self, name: &str) -> bool {
        self.get(name).is_some()
    }

    /// The value of the first of this name.
    pub(crate) fn get(&self, name: &str) -> Option<&str> {
        self.0.iter().find(|(marker, _)| marker == name).map(|(_, value)| value.as_str())
    }

    /// The values of all of this name.
    pub(crate) fn all(&self, name: &str) -> impl Iterator<Item = &str> {
        self.0.iter().filter(move |(marker, _)| marker == name).map(|(_, value)| value.as_str())
    }
}

impl Source {
    /// Parses the two files.
    pub(crate) fn parse(fields: &str, constants: &str) -> anyhow::Result<Self> {
        let mut source = Self { types: BTreeMap::new(), constants: HashMap::new() };
        for (index, line) in fields.lines().enumerate().skip(1) {
            source.add_row(line).with_context(|| format!("go-fields.tsv, line {}", index + 1))?;
        }
        for line in constants.lines().skip(1) {
            let [package, ty, name, value] = columns(line)?;
            let values = source.constants.entry((package.into(), ty.into())).or_default();
            values.push((name.into(), value.into()));
        }
        Ok(source)
    }

    fn add_row(&mut self, line: &str) -> anyhow::Result<()> {
        let [package, ty, go_name, json_name, go_type, proto, flags, patch, markers] = columns(line)?;
        let declaration = self.types.entry(package.into()).or_default().entry(ty.into()).or_default();
        if go_name.is_empty() {
            declaration.markers = Markers::parse(markers);
            declaration.alias = go_type.strip_prefix("alias ").map(str::to_owned);
            ensure!(declaration.alias.is_some() || go_type == "struct", "unknown declaration {go_type:?}");
            return Ok(());
        }
        let number = match proto.split_once(':') {
            Some(("", _)) | None => None,
            Some((number, _)) => Some(number.parse()?),
        };
        let flag = |name: &str| flags.split(',').any(|flag| flag == name);
        declaration.fields.push(Field {
            go_name: go_name.into(),
            json_name: json_name.into(),
            ty: go_type.into(),
            number,
            omit_empty: flag("omitempty"),
            omit_zero: flag("omitzero"),
            inline: flag("inline"),
            patch: patch.into(),
            markers: Markers::parse(markers),
        });
        Ok(())
    }

    /// The paths of the packages, sorted.
    pub(crate) fn packages(&self) -> impl Iterator<Item = &str> {
        self.types.keys().map(String::as_str)
    }

    /// The types of a package, sorted by name.
    pub(crate) fn types(&self, package: &str) -> impl Iterator<Item = (&str, &Declaration)> {
        self.types.get(package).into_iter().flatten().map(|(name, declaration)| (name.as_str(), declaration))
    }

    /// The type of this name.
    pub(crate) fn find(&self, package: &str, name: &str) -> Option<&Declaration> {
        self.types.get(package)?.get(name)
    }

    /// The values of the constants of a named type.
    pub(crate) fn values(&self, package: &str, name: &str) -> impl Iterator<Item = &str> {
        let values = self.constants.get(&(package.to_owned(), name.to_owned()));
        let converted =
            CONVERTED.iter().filter(move |(converted, _)| *converted == name).flat_map(|(_, values)| *values);
        values.into_iter().flatten().map(|(_, value)| value.as_str()).chain(converted.copied())
    }

    /// The value of a constant of a package, whatever its type.
    pub(crate) fn constant(&self, package: &str, name: &str) -> Option<&str> {
        let mut of_package =
            self.constants.iter().filter(|((path, _), _)| path == package).flat_map(|(_, values)| values);
        of_package.find(|(constant, _)| constant == name).map(|(_, value)| value.as_str())
    }

    /// Adds a type that the files leave out.
    pub(crate) fn add(&mut self, package: &str, name: &str, declaration: Declaration) {
        self.types.entry(package.into()).or_default().insert(name.into(), declaration);
    }

    /// Copies all types of a package under another path.
    pub(crate) fn copy_package(&mut self, from: &str, to: &str) -> anyhow::Result<()> {
        let Some(types) = self.types.get(from).cloned() else { bail!("no package {from}") };
        self.types.insert(to.into(), types);
        Ok(())
    }
}

fn columns<const N: usize>(line: &str) -> anyhow::Result<[&str; N]> {
    let found: Vec<&str> = line.split('\t').collect();
    let count = found.len();
    found.try_into().map_err(|_| anyhow::anyhow!("{count} columns instead of {N}"))
}

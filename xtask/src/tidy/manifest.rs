//! The parts of a `Cargo.toml` that rules ask about.

use anyhow::Context;
use toml::{Table, Value};

/// One package of the workspace.
pub(crate) struct Crate {
    pub(crate) name: String,
    /// Folder below the workspace root, with `/` at its end.
    pub(crate) folder: String,
    pub(crate) layer: Option<i64>,
    pub(crate) dependencies: Vec<Dependency>,
    pub(crate) inherits_lints: bool,
    /// Paths of targets that the manifest names, below the workspace root.
    pub(crate) target_paths: Vec<String>,
}

impl Crate {
    pub(crate) fn manifest_path(&self) -> String {
        format!("{}Cargo.toml", self.folder)
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum DependencyKind {
    Normal,
    Build,
    Dev,
}

/// One line of a dependency table.
pub(crate) struct Dependency {
    pub(crate) name: String,
    pub(crate) kind: DependencyKind,
    /// Whether it says `workspace = true`.
    pub(crate) from_workspace: bool,
}

/// Parses the manifest of the package in `folder`; `None` for a manifest without a package.
pub(crate) fn parse(folder: &str, text: &str) -> anyhow::Result<Option<Crate>> {
    let table: Table = text.parse().context("parse TOML")?;
    let Some(package) = table.get("package").and_then(Value::as_table) else { return Ok(None) };
    let name = package.get("name").and_then(Value::as_str).context("[package] has no name")?.to_owned();
    let layer = walk(package, &["metadata", "corten", "layer"]).and_then(Value::as_integer);
    let inherits_lints = walk(&table, &["lints", "workspace"]).and_then(Value::as_bool) == Some(true);
    let mut dependencies = Vec::new();
    collect_dependencies(&table, &mut dependencies);
    if let Some(targets) = table.get("target").and_then(Value::as_table) {
        for target in targets.values().filter_map(Value::as_table) {
            collect_dependencies(target, &mut dependencies);
        }
    }
    let target_paths = target_paths(folder, &table);
    Ok(Some(Crate { name, folder: folder.to_owned(), layer, dependencies, inherits_lints, target_paths }))
}

/// Names of `[workspace.dependencies]`.
pub(crate) fn workspace_dependencies(text: &str) -> Vec<String> {
    let Ok(table) = text.parse::<Table>() else { return Vec::new() };
    walk(&table, &["workspace", "dependencies"])
        .and_then(Value::as_table)
        .map(|dependencies| dependencies.keys().cloned().collect())
        .unwrap_or_default()
}

fn walk<'a>(table: &'a Table, path: &[&str]) -> Option<&'a Value> {
    let (last, parents) = path.split_last()?;
    let mut table = table;
    for name in parents {
        table = table.get(*name)?.as_table()?;
    }
    table.get(*last)
}

fn collect_dependencies(table: &Table, dependencies: &mut Vec<Dependency>) {
    for (section, kind) in [
        ("dependencies", DependencyKind::Normal),
        ("build-dependencies", DependencyKind::Build),
        ("dev-dependencies", DependencyKind::Dev),
    ] {
        let Some(lines) = table.get(section).and_then(Value::as_table) else { continue };
        for (name, value) in lines {
            let from_workspace = value.get("workspace").and_then(Value::as_bool) == Some(true);
            dependencies.push(Dependency { name: name.clone(), kind, from_workspace });
        }
    }
}

fn target_paths(folder: &str, table: &Table) -> Vec<String> {
    let lists =
        ["bin", "test", "bench", "example"].into_iter().filter_map(|kind| table.get(kind)?.as_array()).flatten();
    let named = table.get("lib").into_iter().chain(lists).filter_map(|target| target.get("path")?.as_str());
    let build = walk(table, &["package", "build"]).and_then(Value::as_str);
    named.chain(build).map(|path| format!("{folder}{path}")).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_what_rules_ask_about() {
        let text = r#"
            [package]
            name = "corten-a"
            build = "make.rs"
            [package.metadata.corten]
            layer = 3
            [dependencies]
            anyhow.workspace = true
            own = "1"
            [target.'cfg(unix)'.dev-dependencies]
            nix = { workspace = true, features = ["fs"] }
            [[bin]]
            name = "x"
            path = "bins/x.rs"
            [lints]
            workspace = true
        "#;
        let manifest = parse("crates/corten-a/", text).unwrap().unwrap();
        assert_eq!((manifest.name.as_str(), manifest.layer, manifest.inherits_lints), ("corten-a", Some(3), true));
        let dependencies: Vec<_> =
            manifest.dependencies.iter().map(|d| (d.name.as_str(), d.kind, d.from_workspace)).collect();
        assert_eq!(
            dependencies,
            [
                ("anyhow", DependencyKind::Normal, true),
                ("own", DependencyKind::Normal, false),
                ("nix", DependencyKind::Dev, true)
            ]
        );
        assert_eq!(manifest.target_paths, ["crates/corten-a/bins/x.rs", "crates/corten-a/make.rs"]);
    }

    #[test]
    fn a_virtual_manifest_has_no_package() {
        assert!(parse("", "[workspace]\n").unwrap().is_none());
        assert_eq!(workspace_dependencies("[workspace.dependencies]\nb = \"1\"\na = \"2\"\n"), ["a", "b"]);
    }
}

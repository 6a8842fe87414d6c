//! The module tree: which `.rs` files a crate's targets reach, and which of them only tests compile.

use std::collections::{BTreeMap, VecDeque};

use super::manifest::Crate;
use super::source::{Source, end_of_block};

/// Every reachable source and whether only tests compile it.
pub(crate) type Reached = BTreeMap<String, bool>;

/// Follows `mod` lines, `#[path]` and `include!` from every target of every crate.
pub(crate) fn reach(files: &BTreeMap<String, Source>, crates: &[Crate]) -> Reached {
    let mut reached = Reached::new();
    let mut queue: VecDeque<(String, bool)> = VecDeque::new();
    for (path, _) in files.iter().filter(|(path, _)| path.ends_with(".rs")) {
        if let Some(test) = crates.iter().find_map(|package| target_root(package, path)) {
            queue.push_back((path.clone(), test));
        }
    }
    while let Some((path, test)) = queue.pop_front() {
        // A file can be reached twice, as a test and as a part of the library: the latter decides.
        if reached.get(&path).is_some_and(|&known| !known || test) {
            continue;
        }
        let Some(source) = files.get(&path) else { continue };
        reached.insert(path.clone(), test);
        for (candidates, child_is_test) in children(&path, source, is_root(&path, crates)) {
            let child = candidates.into_iter().find(|candidate| files.contains_key(candidate));
            queue.extend(child.map(|child| (child, test || child_is_test)));
        }
    }
    reached
}

fn is_root(path: &str, crates: &[Crate]) -> bool {
    crates.iter().any(|package| target_root(package, path).is_some())
}

/// Whether `path` is a target of the package, and if so whether it is one that only tests build.
fn target_root(package: &Crate, path: &str) -> Option<bool> {
    let local = path.strip_prefix(&package.folder)?;
    if package.target_paths.iter().any(|target| target == path) {
        return Some(local.starts_with("tests/"));
    }
    let parts: Vec<&str> = local.split('/').collect();
    match parts.as_slice() {
        ["build.rs"] | ["src", "lib.rs" | "main.rs"] | ["src", "bin", _] | ["src", "bin", _, "main.rs"] => Some(false),
        ["tests" | "benches" | "examples", _] | ["tests" | "benches" | "examples", _, "main.rs"] => Some(true),
        _ => None,
    }
}

/// For each module or include of a source: the paths where it may stand, the first existing one counts.
fn children(path: &str, source: &Source, is_root: bool) -> Vec<(Vec<String>, bool)> {
    let folder = &path[..path.rfind('/').map_or(0, |slash| slash + 1)];
    let stem = path[folder.len()..].trim_end_matches(".rs");
    let module_folder = if is_root || stem == "mod" { folder.to_owned() } else { format!("{folder}{stem}/") };
    let mut found = Vec::new();
    for at in source.find_path("mod") {
        let rest = source.code[at + 3..].trim_start();
        let name: String = rest.chars().take_while(|c| c.is_alphanumeric() || matches!(c, '_' | '#')).collect();
        if name.is_empty() || !rest[name.len()..].trim_start().starts_with(';') {
            continue;
        }
        let name = name.trim_start_matches("r#");
        let inline: String = enclosing_modules(source, at).iter().map(|name| format!("{name}/")).collect();
        let candidates = match path_attribute(source, at) {
            Some(target) if inline.is_empty() => vec![join(folder, &target)],
            Some(target) => vec![join(&format!("{module_folder}{inline}"), &target)],
            None => {
                let base = format!("{module_folder}{inline}{name}");
                vec![format!("{base}.rs"), format!("{base}/mod.rs")]
            }
        };
        found.push((candidates, source.is_test_code(at) || name == "tests"));
    }
    for at in source.find_path("include!") {
        if let Some(target) = quoted(&source.text[at..]) {
            found.push((vec![join(folder, target)], source.is_test_code(at)));
        }
    }
    found
}

/// Names of the inline modules `mod a { mod b { .. } }` around an offset, outermost first.
fn enclosing_modules(source: &Source, offset: usize) -> Vec<String> {
    let mut names = Vec::new();
    for at in source.find_path("mod").take_while(|&at| at < offset) {
        let rest = &source.code[at + 3..];
        let Some(open) = rest.find(['{', ';']) else { continue };
        if rest.as_bytes()[open] == b'{' && end_of_block(&source.code, at + 3 + open) > offset {
            names.push(rest[..open].trim().to_owned());
        }
    }
    names
}

/// The value of `#[path = ".."]` among the attributes right before the `mod` at `at`.
fn path_attribute(source: &Source, at: usize) -> Option<String> {
    let item_start = source.code[..at].rfind([';', '}', '{']).map_or(0, |end| end + 1);
    let attributes = &source.code[item_start..at];
    let attribute = item_start + attributes.find("#[path")?;
    quoted(&source.text[attribute..at]).map(str::to_owned)
}

fn quoted(text: &str) -> Option<&str> {
    let open = text.find('"')? + 1;
    let close = text[open..].find('"')?;
    Some(&text[open..open + close])
}

/// Joins a relative path, taking `..` steps.
fn join(folder: &str, target: &str) -> String {
    let mut parts: Vec<&str> = folder.split('/').filter(|part| !part.is_empty()).collect();
    for part in target.split('/') {
        match part {
            "." | "" => {}
            ".." => drop(parts.pop()),
            part => parts.push(part),
        }
    }
    parts.join("/")
}

#[cfg(test)]
mod tests {
    use super::super::project::Project;
    use super::super::testing::files;

    #[track_caller]
    fn check(sources: &[(&str, &str)], want: &[(&str, bool)]) {
        let mut all = vec![("a/Cargo.toml", "[package]\nname = \"a\"\n")];
        all.extend_from_slice(sources);
        let project = Project::new(files(&all));
        let got: Vec<(&str, bool)> = project.reached.iter().map(|(path, test)| (path.as_str(), *test)).collect();
        assert_eq!(got, want);
    }

    #[test]
    fn follows_files_and_folders() {
        check(
            &[
                ("a/src/lib.rs", "mod b;\npub(crate) mod c;"),
                ("a/src/b.rs", "mod d;"),
                ("a/src/b/d.rs", ""),
                ("a/src/c/mod.rs", "mod e;"),
                ("a/src/c/e.rs", ""),
                ("a/src/lost.rs", ""),
            ],
            &[
                ("a/src/b.rs", false),
                ("a/src/b/d.rs", false),
                ("a/src/c/e.rs", false),
                ("a/src/c/mod.rs", false),
                ("a/src/lib.rs", false),
            ],
        );
    }

    #[test]
    fn follows_paths_includes_and_inline_modules() {
        check(
            &[
                ("a/src/main.rs", "#[path = \"../x/y.rs\"]\nmod z;\nmod i { mod j; }\ninclude!(\"k.in.rs\");"),
                ("a/x/y.rs", ""),
                ("a/src/i/j.rs", ""),
                ("a/src/k.in.rs", ""),
            ],
            &[("a/src/i/j.rs", false), ("a/src/k.in.rs", false), ("a/src/main.rs", false), ("a/x/y.rs", false)],
        );
    }

    #[test]
    fn knows_what_only_tests_compile() {
        check(
            &[
                ("a/src/lib.rs", "#[cfg(test)]\nmod fixtures;\nmod b;"),
                ("a/src/fixtures.rs", "mod deep;"),
                ("a/src/fixtures/deep.rs", ""),
                ("a/src/b/mod.rs", "// mod not_code;\n#[cfg(test)]\nmod tests;"),
                ("a/src/b/tests.rs", ""),
                ("a/tests/it.rs", "mod helper;"),
                ("a/tests/helper/mod.rs", ""),
            ],
            &[
                ("a/src/b/mod.rs", false),
                ("a/src/b/tests.rs", true),
                ("a/src/fixtures.rs", true),
                ("a/src/fixtures/deep.rs", true),
                ("a/src/lib.rs", false),
                ("a/tests/helper/mod.rs", true),
                ("a/tests/it.rs", true),
            ],
        );
    }
}

//! Network configuration lists: reading them from text and from the configuration directory.

use std::{
    fmt,
    path::{Path, PathBuf},
    str::FromStr,
};

use corten_base::fs::{self, Context as _, FsError};
use serde_json::{Map, Value};

/// Versions of the specification that are understood. Results before 0.3.0 have another form.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
#[expect(missing_docs, reason = "the names are the versions")]
pub enum Version {
    V0_3_0,
    V0_3_1,
    V0_4_0,
    V1_0_0,
    V1_1_0,
}

impl Version {
    /// All, oldest first.
    pub const ALL: [Self; 5] = [Self::V0_3_0, Self::V0_3_1, Self::V0_4_0, Self::V1_0_0, Self::V1_1_0];
}

impl fmt::Display for Version {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::V0_3_0 => "0.3.0",
            Self::V0_3_1 => "0.3.1",
            Self::V0_4_0 => "0.4.0",
            Self::V1_0_0 => "1.0.0",
            Self::V1_1_0 => "1.1.0",
        })
    }
}

impl FromStr for Version {
    type Err = ConfigError;

    fn from_str(s: &str) -> Result<Self, ConfigError> {
        Self::ALL.into_iter().find(|v| v.to_string() == s).ok_or_else(|| ConfigError::Version { version: s.to_owned() })
    }
}

/// Why a configuration cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum ConfigError {
    /// A file could not be read.
    #[error(transparent)]
    File(#[from] FsError),
    /// The text is not JSON.
    #[error("network configuration is not JSON")]
    Json(#[source] serde_json::Error),
    /// A field is missing or has the wrong type.
    #[error("network configuration: {field} is missing or wrong")]
    Field {
        /// Which.
        field: &'static str,
    },
    /// The version is not supported.
    #[error("CNI version {version:?} is not supported")]
    Version {
        /// The version.
        version: String,
    },
    /// The directory has no configuration.
    #[error("no network configuration in {}", directory.display())]
    None {
        /// The directory.
        directory: PathBuf,
    },
}

/// A network: plugins to run in order.
#[derive(Clone, Debug, PartialEq)]
pub struct NetworkConfigList {
    /// Name.
    pub name: String,
    /// Version of the specification: the newest that the configuration offers and that is supported.
    pub version: Version,
    /// The plugins do not support CHECK.
    pub disable_check: bool,
    /// Plugins in order; at least one.
    pub plugins: Vec<PluginConfig>,
    /// The configuration as it was written, for the cache.
    pub(super) source: Value,
}

/// The configuration of one plugin.
#[derive(Clone, Debug, PartialEq)]
pub struct PluginConfig {
    /// Its type: the name of its executable.
    pub plugin_type: String,
    /// All fields.
    pub fields: Map<String, Value>,
}

impl NetworkConfigList {
    /// Reads a configuration list from JSON.
    pub fn parse(text: &[u8]) -> Result<Self, ConfigError> {
        Self::from_value(serde_json::from_slice(text).map_err(ConfigError::Json)?)
    }

    /// Reads a configuration list, or the configuration of a single plugin, which is a list of one.
    pub fn from_value(source: Value) -> Result<Self, ConfigError> {
        let field = |field| ConfigError::Field { field };
        let object = source.as_object().ok_or(field("document"))?;
        let name = object.get("name").and_then(Value::as_str).filter(|n| is_valid_name(n)).ok_or(field("name"))?;
        let disable_check = match object.get("disableCheck") {
            None => false,
            // Some tools write it as a string.
            Some(v) => v.as_bool().or_else(|| v.as_str()?.parse().ok()).ok_or(field("disableCheck"))?,
        };
        let plugins = match object.get("plugins") {
            Some(plugins) => {
                let plugins = plugins.as_array().filter(|p| !p.is_empty()).ok_or(field("plugins"))?;
                plugins.iter().map(read_plugin).collect::<Result<_, _>>()?
            }
            None => vec![read_plugin(&source)?],
        };
        Ok(Self { name: name.to_owned(), version: read_version(object)?, disable_check, plugins, source })
    }

    /// The configuration that a runtime uses: the first usable file of the directory by name, among `.conflist`,
    /// `.conf` and `.json`. Files that cannot be used are skipped; if none is usable, the first one's error is
    /// returned.
    ///
    /// Errors: [`ConfigError::None`] if there is no such file (also if the directory does not exist). Blocks.
    pub fn load_first(directory: &Path) -> Result<Self, ConfigError> {
        let mut first_error = None;
        for path in config_files(directory)? {
            match fs::read(&path).map_err(ConfigError::from).and_then(|text| Self::parse(&text)) {
                Ok(list) => return Ok(list),
                Err(e) => first_error = first_error.or(Some(e)),
            }
        }
        Err(first_error.unwrap_or_else(|| ConfigError::None { directory: directory.to_owned() }))
    }
}

fn config_files(directory: &Path) -> Result<Vec<PathBuf>, FsError> {
    let entries = match std::fs::read_dir(directory).at("read directory", directory) {
        Ok(entries) => entries,
        Err(e) if e.is_not_found() => return Ok(Vec::new()),
        Err(e) => return Err(e),
    };
    let mut files = Vec::new();
    for entry in entries {
        let path = entry.at("read directory", directory)?.path();
        let extension = path.extension().and_then(|e| e.to_str());
        if matches!(extension, Some("conflist" | "conf" | "json")) && path.is_file() {
            files.push(path);
        }
    }
    files.sort();
    Ok(files)
}

fn read_plugin(value: &Value) -> Result<PluginConfig, ConfigError> {
    let fields = value.as_object().ok_or(ConfigError::Field { field: "plugins" })?;
    let plugin_type = fields.get("type").and_then(Value::as_str);
    // The type is a file name: it must not lead out of the plugin directories.
    let plugin_type = plugin_type
        .filter(|t| !t.is_empty() && !t.contains('/') && !matches!(*t, "." | ".."))
        .ok_or(ConfigError::Field { field: "type" })?;
    Ok(PluginConfig { plugin_type: plugin_type.to_owned(), fields: fields.clone() })
}

fn read_version(object: &Map<String, Value>) -> Result<Version, ConfigError> {
    let single = object.get("cniVersion").and_then(Value::as_str);
    let offered = object.get("cniVersions").and_then(Value::as_array).into_iter().flatten().filter_map(Value::as_str);
    let newest = single.into_iter().chain(offered).filter_map(|v| v.parse().ok()).max();
    newest.ok_or_else(|| ConfigError::Version { version: single.unwrap_or_default().to_owned() })
}

/// Names become file names. Source: specification, "network name" and "container id".
pub(super) fn is_valid_name(name: &str) -> bool {
    name.starts_with(|c: char| c.is_ascii_alphanumeric())
        && name.chars().all(|c| c.is_ascii_alphanumeric() || matches!(c, '_' | '.' | '-'))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(text: &str, want: Result<(&str, Version, &[&str]), &str>) {
        let got = NetworkConfigList::parse(text.as_bytes());
        let got = got.as_ref().map_err(ToString::to_string).map(|l| {
            (l.name.as_str(), l.version, l.plugins.iter().map(|p| p.plugin_type.as_str()).collect::<Vec<_>>())
        });
        let want = want.map(|(n, v, p)| (n, v, p.to_vec())).map_err(str::to_owned);
        assert_eq!(got, want);
    }

    #[test]
    fn reads_lists_and_single_plugins() {
        let list = r#"{"cniVersion":"1.0.0","name":"pods","plugins":[{"type":"bridge"},{"type":"portmap"}]}"#;
        check(list, Ok(("pods", Version::V1_0_0, &["bridge", "portmap"])));
        check(r#"{"cniVersion":"0.3.1","name":"n","type":"flannel"}"#, Ok(("n", Version::V0_3_1, &["flannel"])));
        let many = r#"{"cniVersion":"0.4.0","cniVersions":["0.4.0","1.1.0","9.0.0"],"name":"n","type":"x"}"#;
        check(many, Ok(("n", Version::V1_1_0, &["x"])));
    }

    #[test]
    fn refuses_what_it_cannot_run() {
        let wrong = |field| format!("network configuration: {field} is missing or wrong");
        check(r#"{"cniVersion":"1.0.0","plugins":[{"type":"x"}]}"#, Err(&wrong("name")));
        check(r#"{"cniVersion":"1.0.0","name":"../x","type":"x"}"#, Err(&wrong("name")));
        check(r#"{"cniVersion":"1.0.0","name":"n","plugins":[]}"#, Err(&wrong("plugins")));
        check(r#"{"cniVersion":"1.0.0","name":"n","type":"../sh"}"#, Err(&wrong("type")));
        check(r#"{"cniVersion":"0.2.0","name":"n","type":"x"}"#, Err("CNI version \"0.2.0\" is not supported"));
        check("{", Err("network configuration is not JSON"));
    }

    #[test]
    fn the_first_usable_file_by_name_wins() {
        let dir = tempfile::tempdir().unwrap();
        let none = NetworkConfigList::load_first(dir.path()).unwrap_err();
        assert!(matches!(none, ConfigError::None { .. }));
        for (name, text) in [
            ("00-broken.conflist", "{"),
            ("05-note.txt", r#"{"cniVersion":"1.0.0","name":"note","type":"x"}"#),
            ("10-a.conf", r#"{"cniVersion":"1.0.0","name":"a","type":"x"}"#),
            ("20-b.conflist", r#"{"cniVersion":"1.0.0","name":"b","plugins":[{"type":"x"}]}"#),
        ] {
            std::fs::write(dir.path().join(name), text).unwrap();
        }
        assert_eq!(NetworkConfigList::load_first(dir.path()).unwrap().name, "a");
        assert!(matches!(NetworkConfigList::load_first(&dir.path().join("none")), Err(ConfigError::None { .. })));
    }
}

//! Kubeconfig files: clusters, users and the contexts that join them.
//!
//! Exec plugins and auth providers are not run: a user that needs one is an error.
//! Upstream: k8s.io/client-go/tools/clientcmd (v1.35).

use std::path::{Path, PathBuf};

use base64::{Engine as _, engine::general_purpose::STANDARD};
use corten_base::fs;
use serde::{Deserialize, de::IgnoredAny};

use crate::transport::http::{Credentials, HttpConfig, Tls, default_user_agent};

/// A kubeconfig cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum KubeconfigError {
    /// A file, the kubeconfig itself or one that it names, cannot be read.
    #[error(transparent)]
    File(#[from] fs::FsError),
    /// It is not the YAML that it should be. What stands there is not said: any file may have been named, and keys are
    /// in the right ones.
    #[error("parse kubeconfig: no kubeconfig in YAML or JSON{}", at(*.line))]
    Yaml {
        /// The line that does not fit, from 1; 0 if it is not known.
        line: u64,
    },
    /// A name leads nowhere.
    #[error("no {what} named {name:?} in the kubeconfig")]
    Missing {
        /// `context`, `cluster` or `user`.
        what: &'static str,
        /// The name.
        name: String,
    },
    /// A `-data` field is not base64.
    #[error("field {field} of the kubeconfig is not base64")]
    Base64 {
        /// Which.
        field: &'static str,
    },
    /// A certificate comes without its key, or a key without its certificate.
    #[error("client certificate and key of user {0:?} do not come together")]
    HalfIdentity(String),
    /// The user authenticates in a way that is not there.
    #[error("user {0:?} needs an exec plugin or auth provider, which is not supported")]
    Plugin(String),
}

fn at(line: u64) -> String {
    if line == 0 { String::new() } else { format!(" (line {line})") }
}

/// A kubeconfig file.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(rename_all = "kebab-case", default)]
pub struct Kubeconfig {
    current_context: String,
    clusters: Vec<NamedCluster>,
    contexts: Vec<NamedContext>,
    users: Vec<NamedUser>,
    /// Where relative paths start.
    #[serde(skip)]
    directory: PathBuf,
}

#[derive(Debug, Clone, Deserialize)]
struct NamedCluster {
    name: String,
    #[serde(default)]
    cluster: Cluster,
}

#[derive(Debug, Clone, Default, Deserialize)]
#[serde(rename_all = "kebab-case", default)]
struct Cluster {
    server: String,
    certificate_authority: String,
    certificate_authority_data: String,
    insecure_skip_tls_verify: bool,
    tls_server_name: Option<String>,
}

#[derive(Debug, Clone, Deserialize)]
struct NamedContext {
    name: String,
    #[serde(default)]
    context: Context,
}

#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default)]
struct Context {
    cluster: String,
    user: String,
    namespace: String,
}

#[derive(Debug, Clone, Deserialize)]
struct NamedUser {
    name: String,
    #[serde(default)]
    user: User,
}

#[derive(Clone, Default, Deserialize)]
#[serde(rename_all = "kebab-case", default)]
struct User {
    client_certificate: String,
    client_certificate_data: String,
    client_key: String,
    client_key_data: String,
    token: String,
    #[serde(rename = "tokenFile")]
    token_file: String,
    exec: Option<IgnoredAny>,
    auth_provider: Option<IgnoredAny>,
}

impl std::fmt::Debug for User {
    /// Without keys and tokens.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("User(..)")
    }
}

/// What a context stands for.
#[derive(Debug, Clone)]
pub struct Resolved {
    /// How to reach the server, as whom.
    pub config: HttpConfig,
    /// The namespace to work in when none is named; `default` if the context says nothing.
    pub namespace: String,
}

impl Kubeconfig {
    /// Reads a file; relative paths in it start at its directory. Blocks.
    pub fn read(path: &Path) -> Result<Self, KubeconfigError> {
        let text = fs::read_to_string(path)?;
        Self::parse(&text, path.parent().unwrap_or(Path::new("")))
    }

    /// Reads a text whose relative paths start at `directory`.
    pub fn parse(text: &str, directory: &Path) -> Result<Self, KubeconfigError> {
        let parsed: Self = serde_saphyr::from_str(text)
            .map_err(|error| KubeconfigError::Yaml { line: error.location().map_or(0, |place| place.line()) })?;
        Ok(Self { directory: directory.to_owned(), ..parsed })
    }

    /// The name of the current context; empty for none.
    #[must_use]
    pub fn current_context(&self) -> &str {
        &self.current_context
    }

    /// Finds a context, the current one if none is named, and reads the files that it needs. Blocks.
    pub fn resolve(&self, context: Option<&str>) -> Result<Resolved, KubeconfigError> {
        let name = context.unwrap_or(&self.current_context);
        let missing = |what, name: &str| KubeconfigError::Missing { what, name: name.to_owned() };
        let context = self.contexts.iter().find(|entry| entry.name == name).ok_or_else(|| missing("context", name))?;
        let context = &context.context;
        let cluster = self.clusters.iter().find(|entry| entry.name == context.cluster);
        let cluster = &cluster.ok_or_else(|| missing("cluster", &context.cluster))?.cluster;
        let user = self.users.iter().find(|entry| entry.name == context.user);
        let user = &user.ok_or_else(|| missing("user", &context.user))?.user;
        if user.exec.is_some() || user.auth_provider.is_some() {
            return Err(KubeconfigError::Plugin(context.user.clone()));
        }
        let identity = match (
            self.content("client-certificate-data", &user.client_certificate_data, &user.client_certificate)?,
            self.content("client-key-data", &user.client_key_data, &user.client_key)?,
        ) {
            (None, None) => None,
            (Some(chain), Some(key)) => Some((chain, key)),
            _ => return Err(KubeconfigError::HalfIdentity(context.user.clone())),
        };
        let tls = if cluster.insecure_skip_tls_verify {
            Tls::Insecure { identity }
        } else {
            let (data, file) = (&cluster.certificate_authority_data, &cluster.certificate_authority);
            let authorities = self.content("certificate-authority-data", data, file)?.unwrap_or_default();
            Tls::Pem { authorities, identity, server_name: cluster.tls_server_name.clone() }
        };
        // A token file takes precedence, as upstream: it is the one that is renewed.
        let credentials = match (user.token_file.as_str(), user.token.as_str()) {
            ("", "") => Credentials::None,
            ("", token) => Credentials::Token(token.to_owned()),
            (file, _) => Credentials::TokenFile(self.directory.join(file)),
        };
        let namespace = if context.namespace.is_empty() { "default" } else { &context.namespace };
        let config = HttpConfig { server: cluster.server.clone(), tls, credentials, user_agent: default_user_agent() };
        Ok(Resolved { config, namespace: namespace.to_owned() })
    }

    /// The content of a field that comes inline or from a file; inline wins, as upstream.
    fn content(&self, field: &'static str, data: &str, file: &str) -> Result<Option<Vec<u8>>, KubeconfigError> {
        if !data.is_empty() {
            // Long values are often folded over lines.
            let compact: String = data.split_ascii_whitespace().collect();
            return STANDARD.decode(compact).map(Some).map_err(|_| KubeconfigError::Base64 { field });
        }
        if file.is_empty() { Ok(None) } else { Ok(Some(fs::read(&self.directory.join(file))?)) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const TEXT: &str = r#"
apiVersion: v1
kind: Config
current-context: main
preferences: {}
clusters:
- name: home
  cluster:
    server: https://10.0.0.1:6443
    certificate-authority: ca.crt
    tls-server-name: kubernetes
- name: lab
  cluster: {server: "https://lab", insecure-skip-tls-verify: true}
contexts:
- {name: main, context: {cluster: home, user: admin}}
- {name: lab, context: {cluster: lab, user: bot, namespace: tests}}
- {name: cloud, context: {cluster: lab, user: plugged}}
- {name: broken, context: {cluster: nowhere, user: admin}}
users:
- name: admin
  user:
    client-certificate-data: Y2hhaW4=
    client-key-data: a2V5
- {name: bot, user: {token: abc, tokenFile: token}}
- {name: plugged, user: {exec: {command: aws, apiVersion: v1}}}
"#;

    fn kubeconfig(directory: &Path) -> Kubeconfig {
        Kubeconfig::parse(TEXT, directory).unwrap()
    }

    #[test]
    fn a_context_brings_cluster_and_user_together() {
        let directory = tempfile::tempdir().unwrap();
        fs::write(&directory.path().join("ca.crt"), b"authority").unwrap();
        let main = kubeconfig(directory.path()).resolve(None).unwrap();
        assert_eq!((&*main.config.server, &*main.namespace), ("https://10.0.0.1:6443", "default"));
        let Tls::Pem { authorities, identity, server_name } = main.config.tls else { panic!("it is checked") };
        assert_eq!((&*authorities, identity), (&b"authority"[..], Some((b"chain".to_vec(), b"key".to_vec()))));
        assert_eq!(server_name.as_deref(), Some("kubernetes"));
    }

    #[test]
    fn a_token_file_wins_over_a_token() {
        let lab = kubeconfig(Path::new("/etc/x")).resolve(Some("lab")).unwrap();
        assert_eq!(lab.namespace, "tests");
        assert!(matches!(lab.config.credentials, Credentials::TokenFile(path) if path == Path::new("/etc/x/token")));
        assert!(matches!(lab.config.tls, Tls::Insecure { identity: None }));
    }

    #[test]
    fn what_cannot_be_used_is_said() {
        let directory = tempfile::tempdir().unwrap();
        let error = |context| kubeconfig(directory.path()).resolve(Some(context)).unwrap_err().to_string();
        assert_eq!(error("other"), r#"no context named "other" in the kubeconfig"#);
        assert_eq!(error("broken"), r#"no cluster named "nowhere" in the kubeconfig"#);
        assert_eq!(error("cloud"), r#"user "plugged" needs an exec plugin or auth provider, which is not supported"#);
        assert!(error("main").starts_with("read "), "{}", error("main"));
        assert!(Kubeconfig::parse("clusters: 7", Path::new("")).is_err());
    }

    /// `--kubeconfig /etc/shadow` printed lines of that file.
    #[test]
    fn what_stands_in_a_wrong_file_is_not_said() {
        for text in [
            "root:x:0:0:root:/root:/bin/bash\nother:secret",
            "clusters: [secret]",
            "{\"users\": \"secret\"",
            "a: b: secret",
        ] {
            let said = Kubeconfig::parse(text, Path::new("")).unwrap_err().to_string();
            assert!(said.starts_with("parse kubeconfig: no kubeconfig in YAML or JSON"), "{said}");
            assert!(!said.contains("secret") && !said.contains("root:"), "{said}");
        }
    }
}

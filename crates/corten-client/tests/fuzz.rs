//! Whatever a kubeconfig says, it is read or refused.

use std::path::Path;

use corten_client::kubeconfig::Kubeconfig;
use corten_fuzz::{Target, texts};

const TARGETS: &[Target] = &[Target { name: "kubeconfig", corpus: kubeconfigs, run: read }];

const BLOCK: &str = "apiVersion: v1
kind: Config
current-context: a
clusters:
- name: a
  cluster:
    server: https://10.0.0.1:6443
    certificate-authority-data: YWJj
users:
- name: a
  user: {token: t, client-certificate: a.crt, client-key: a.key}
contexts:
- name: a
  context: {cluster: a, user: a, namespace: n}
";

const FLOW: &str = r#"{"apiVersion":"v1","kind":"Config","clusters":[{"name":"a","cluster":{"server":"http://[::1]:8080",
"insecure-skip-tls-verify":true,"tls-server-name":"x"}}],"contexts":[{"name":"a","context":{"cluster":"a"}}],"users":[]}"#;

fn kubeconfigs() -> Vec<Vec<u8>> {
    texts(&[BLOCK, FLOW])
}

fn read(input: &[u8]) {
    let Ok(text) = std::str::from_utf8(input) else { return };
    // Files that it names are looked for where there are none.
    if let Ok(kubeconfig) = Kubeconfig::parse(text, Path::new("/nonexistent")) {
        let _ = kubeconfig.resolve(Some("a"));
    }
}

#[test]
fn no_input_harms_a_decoder() {
    corten_fuzz::smoke(TARGETS);
}

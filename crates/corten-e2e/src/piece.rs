//! One component in a process of its own.

use std::{
    fs::File,
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
};

use anyhow::Context as _;

/// A process of the control plane; it ends with the value.
#[derive(Debug)]
pub struct Piece(Child);

impl Piece {
    /// Starts `corten NAME` with its log in the file of that name.
    pub fn start(root: &Path, name: &str, flags: &[String]) -> anyhow::Result<Self> {
        let binary = std::env::var_os("CORTEN_BIN").context("CORTEN_BIN is not set: run `cargo xtask test`")?;
        let log = File::create(root.join(name)).context("create the log")?;
        let mut command = Command::new(PathBuf::from(binary));
        command.arg(name).args(flags).stdin(Stdio::null()).stdout(Stdio::null()).stderr(log);
        Ok(Self(command.spawn().with_context(|| format!("start {name}"))?))
    }

    /// Starts the API server on the data and the certificates of a cluster that has run, with `more` flags.
    pub fn api_server(root: &Path, port: u16, more: &[&str]) -> anyhow::Result<Self> {
        let pki = |name: &str| root.join("pki").join(name).display().to_string();
        let mut flags = vec![
            format!("--data-dir={}", root.join("store").display()),
            "--bind-address=127.0.0.1".to_owned(),
            "--advertise-address=127.0.0.1".to_owned(),
            format!("--secure-port={port}"),
            format!("--tls-cert-file={}", pki("apiserver.crt")),
            format!("--tls-private-key-file={}", pki("apiserver.key")),
            format!("--client-ca-file={}", pki("ca.crt")),
            format!("--service-account-signing-key-file={}", pki("sa.key")),
            format!("--service-account-key-file={}", pki("sa.pub")),
        ];
        flags.extend(more.iter().map(|&flag| flag.to_owned()));
        Self::start(root, "kube-apiserver", &flags)
    }
}

impl Drop for Piece {
    fn drop(&mut self) {
        // Nothing is to be lost, and nobody is left to tell.
        let _gone = self.0.kill();
        let _status = self.0.wait();
    }
}

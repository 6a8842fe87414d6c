//! The unmodified kubectl.

use std::{
    io::Write as _,
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
};

use anyhow::Context as _;
use serde_json::Value;

/// kubectl with one kubeconfig and nothing of the user's own.
#[derive(Debug, Clone)]
pub struct Kubectl {
    program: PathBuf,
    kubeconfig: PathBuf,
    home: PathBuf,
    /// Where objects are if a command does not say otherwise; the kubeconfig's own if `None`.
    namespace: Option<String>,
}

/// What a command printed, and whether it succeeded.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Output {
    /// Whether the exit code was 0.
    pub success: bool,
    /// Standard output.
    pub out: String,
    /// Standard error.
    pub err: String,
}

impl Kubectl {
    /// kubectl of the test tools, with caches under `home`.
    pub fn new(kubeconfig: &Path, home: &Path) -> anyhow::Result<Self> {
        let tools =
            std::env::var_os("CORTEN_TEST_TOOLS").context("CORTEN_TEST_TOOLS is not set: run `cargo xtask test`")?;
        Ok(Self {
            program: PathBuf::from(tools).join("bin/kubectl"),
            kubeconfig: kubeconfig.to_owned(),
            home: home.to_owned(),
            namespace: None,
        })
    }

    /// The same kubectl in a namespace that it makes, ready for pods: the service account is there.
    pub fn in_new_namespace(&self, name: &str) -> anyhow::Result<Self> {
        let created = self.run(&["create", "namespace", name])?;
        anyhow::ensure!(created.success, "{}", created.err);
        let scoped = Self { namespace: Some(name.to_owned()), ..self.clone() };
        let account = scoped.run(&["wait", "--for=create", "serviceaccount/default", "--timeout=60s"])?;
        anyhow::ensure!(account.success, "{}", account.err);
        Ok(scoped)
    }

    /// Where kubectl is.
    #[must_use]
    pub fn program(&self) -> &Path {
        &self.program
    }

    /// The namespace of commands that do not name one.
    #[must_use]
    pub fn namespace(&self) -> &str {
        self.namespace.as_deref().unwrap_or("default")
    }

    /// The file with the administrator's credentials.
    #[must_use]
    pub fn kubeconfig(&self) -> &Path {
        &self.kubeconfig
    }

    /// A call of kubectl that is still to be made: without input, its outputs piped.
    #[must_use]
    pub fn command(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new(&self.program);
        if let Some(namespace) = &self.namespace {
            command.arg("--namespace").arg(namespace);
        }
        command.args(arguments).env_clear().env("KUBECONFIG", &self.kubeconfig).env("HOME", &self.home);
        command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
        command
    }

    /// Runs kubectl to its end.
    pub fn run(&self, arguments: &[&str]) -> anyhow::Result<Output> {
        let output = self.command(arguments).output().with_context(|| format!("run {}", self.program.display()))?;
        Ok(Output {
            success: output.status.success(),
            out: String::from_utf8_lossy(&output.stdout).into_owned(),
            err: String::from_utf8_lossy(&output.stderr).into_owned(),
        })
    }

    /// Runs kubectl with `input` on its standard input.
    pub fn run_with(&self, arguments: &[&str], input: &str) -> anyhow::Result<Output> {
        let mut child = self.command(arguments).stdin(Stdio::piped()).spawn().context("start kubectl")?;
        // kubectl stops reading when the server refuses early; what it then says is what counts.
        let _ = child.stdin.take().context("the input is piped")?.write_all(input.as_bytes());
        let output = child.wait_with_output().context("wait for kubectl")?;
        Ok(Output {
            success: output.status.success(),
            out: String::from_utf8_lossy(&output.stdout).into_owned(),
            err: String::from_utf8_lossy(&output.stderr).into_owned(),
        })
    }

    /// Applies manifests, client side.
    ///
    /// Errors: kubectl complained.
    pub fn apply(&self, manifests: &str) -> anyhow::Result<String> {
        let output = self.run_with(&["apply", "-f", "-"], manifests)?;
        anyhow::ensure!(output.success, "kubectl apply failed:\n{}{}", output.out, output.err);
        Ok(output.out)
    }

    /// Starts kubectl and leaves it running.
    pub fn start(&self, arguments: &[&str]) -> anyhow::Result<Child> {
        self.command(arguments).spawn().context("start kubectl")
    }

    /// Runs kubectl, which has to succeed, and returns what it printed.
    #[track_caller]
    pub fn ok(&self, arguments: &[&str]) -> String {
        let output = self.run(arguments).expect("kubectl runs");
        assert!(output.success, "kubectl {} failed:\n{}{}", arguments.join(" "), output.out, output.err);
        output.out
    }

    /// Runs kubectl, which has to fail, and returns what it complained.
    #[track_caller]
    pub fn fails(&self, arguments: &[&str]) -> String {
        let output = self.run(arguments).expect("kubectl runs");
        assert!(!output.success, "kubectl {} succeeded:\n{}", arguments.join(" "), output.out);
        output.err
    }

    /// Reads an object as JSON.
    #[track_caller]
    pub fn json(&self, arguments: &[&str]) -> Value {
        let text = self.ok(&[arguments, &["-o", "json"]].concat());
        serde_json::from_str(&text).expect("kubectl prints JSON")
    }
}

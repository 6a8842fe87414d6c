//! The command line.

mod backup;
mod common;
mod completion;
mod component;
mod dns;
mod down;
mod gates;
mod go_bool;
mod go_duration;
mod image;
mod server;
mod status;
mod up;

use std::{ffi::OsString, io::Write as _, path::Path, process::ExitCode};

use clap::{Parser, Subcommand};

/// Kubernetes in one binary: `corten up` starts a cluster on this machine, and kubectl works with it.
#[derive(Debug, Parser)]
#[command(name = "corten", version, propagate_version = true, arg_required_else_help = true)]
#[command(after_help = "A first try:\n  sudo corten up --detach\n  kubectl get nodes\n  sudo corten down")]
struct Arguments {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Start a cluster on this machine: control plane, node, service proxy and DNS.
    ///
    /// Runs in the foreground until Ctrl-C, which ends corten and leaves pods running; with --detach it returns when the
    /// cluster is ready.
    Up(up::Options),
    /// Stop the cluster and its containers; data stays, and `up` brings everything back.
    Down(down::DownOptions),
    /// Stop the cluster and remove its data.
    Delete(down::DeleteOptions),
    /// Show how the cluster is. Ends with 0 if it is ready, 1 if not, 3 if it does not run.
    Status(status::Options),
    /// Import, list and remove images.
    Image(image::Options),
    /// Copy the cluster's store, keys and record into a file, while it runs.
    Backup(backup::BackupOptions),
    /// Bring a backup back into a cluster that does not run and has no store.
    Restore(backup::RestoreOptions),
    /// Run the control plane alone, without a node: API server, store, controllers and scheduler.
    Server(server::Options),
    /// Run an API server alone.
    #[command(name = "kube-apiserver")]
    KubeApiserver(component::apiserver::Options),
    /// Run the controllers against any API server.
    #[command(name = "kube-controller-manager")]
    KubeControllerManager(component::controller_manager::Options),
    /// Run the scheduler against any API server.
    #[command(name = "kube-scheduler")]
    KubeScheduler(component::scheduler::Options),
    /// Run a node against any API server, with the built-in container runtime.
    Kubelet(component::kubelet::Options),
    /// Run the service proxy against any API server.
    #[command(name = "kube-proxy")]
    KubeProxy(component::proxy::Options),
    /// Run the cluster's DNS server; `up` starts and supervises it.
    #[command(hide = true)]
    Dns(dns::Options),
    /// Run the containers of one pod; the container runtime starts it. Dispatched before the command line is read.
    #[command(hide = true)]
    Shim,
    /// Print the completions of a shell.
    Completion(completion::Options),
}

/// The names under which the binary is the component of that name: `kube-proxy -> corten`.
const COMPONENTS: &[&str] = &["kube-apiserver", "kube-controller-manager", "kube-scheduler", "kubelet", "kube-proxy"];

/// Does what the command line says.
pub(crate) fn main(arguments: Vec<OsString>) -> ExitCode {
    match run(Arguments::parse_from(by_name(arguments)).command) {
        Ok(code) => code,
        Err(error) => {
            // Nobody is left to be told if this fails.
            let _ = writeln!(std::io::stderr(), "error: {error:#}");
            ExitCode::FAILURE
        }
    }
}

fn run(command: Command) -> anyhow::Result<ExitCode> {
    match command {
        Command::Up(options) => up::run(options),
        Command::Down(options) => down::down(&options),
        Command::Delete(options) => down::delete(&options),
        Command::Status(options) => status::run(&options),
        Command::Image(options) => image::run(options),
        Command::Backup(options) => backup::backup(&options),
        Command::Restore(options) => backup::restore(&options),
        Command::Server(options) => server::run(options),
        Command::KubeApiserver(options) => component::apiserver::run(options),
        Command::KubeControllerManager(options) => component::controller_manager::run(options),
        Command::KubeScheduler(options) => component::scheduler::run(options),
        Command::Kubelet(options) => component::kubelet::run(options),
        Command::KubeProxy(options) => component::proxy::run(options),
        Command::Dns(options) => dns::run(options),
        Command::Shim => anyhow::bail!("the shim is started by the container runtime"),
        Command::Completion(options) => completion::run(&options),
    }
}

/// A binary that is called like a component is that component.
fn by_name(mut arguments: Vec<OsString>) -> Vec<OsString> {
    let name = arguments.first().and_then(|program| Path::new(program).file_name()).map(OsString::from);
    if let Some(name) = name.filter(|name| COMPONENTS.iter().any(|component| name == component)) {
        arguments.insert(1, name);
    }
    arguments
}

#[cfg(test)]
mod tests;

//! `corten status`: how the cluster is.

use std::process::ExitCode;

use clap::Args;

use super::common::{Root, print, say};
use crate::{
    components::RUNNING,
    control::{self, Answer, Report, Request},
    instance, preflight,
};

/// The cluster runs and is not what it should be. (LSB has no code for it; systemd's is any but 0.)
const DEGRADED: u8 = 1;
/// Nothing runs. Source: LSB, status actions of init scripts.
const NOT_RUNNING: u8 = 3;

/// Options of `corten status`.
#[derive(Debug, Args)]
pub(crate) struct Options {
    #[command(flatten)]
    root: Root,
    /// As JSON, for programs.
    #[arg(long)]
    json: bool,
}

/// Shows it.
pub(crate) fn run(options: &Options) -> anyhow::Result<ExitCode> {
    let places = options.root.places()?;
    preflight::require_owner(&places, "status", "the socket of the running cluster belongs to root")?;
    let Some(answer) = control::ask(&places.control_socket(), Request::Status)? else {
        if let Some(holder) = instance::holder(&places)? {
            say(&format!("{holder} works at {} and does not take commands: it begins or ends", places.root.display()));
            return Ok(ExitCode::from(DEGRADED));
        }
        say(&format!("no cluster runs at {}", places.root.display()));
        return Ok(ExitCode::from(NOT_RUNNING));
    };
    let Answer::Status(report) = answer else { anyhow::bail!("the running process answered something else") };
    if options.json {
        print([serde_json::to_string_pretty(&report)?])?;
    } else {
        print(lines(&report))?;
    }
    Ok(if is_ready(&report) { ExitCode::SUCCESS } else { ExitCode::from(DEGRADED) })
}

fn is_ready(report: &Report) -> bool {
    let node = report.node.is_empty() || report.node_state == "Ready";
    node && !report.stopping
        && report.starting.is_none()
        && report.components.iter().all(|component| component.state == RUNNING)
}

fn lines(report: &Report) -> Vec<String> {
    let mut lines = vec![
        format!("corten {} (pid {}) at {}", report.version, report.pid, report.root.display()),
        match &report.starting {
            _ if report.stopping => "state    ending".to_owned(),
            Some(step) => format!("state    starting: at {step:?}, not ready yet"),
            None => "state    started".to_owned(),
        },
        format!("API      {} here, {} for pods and other machines", report.server, report.advertise),
    ];
    if !report.node.is_empty() {
        let version =
            if report.kubelet_version.is_empty() { String::new() } else { format!(", {}", report.kubelet_version) };
        lines.push(format!("node     {}: {}{version}", report.node, report.node_state));
        lines.extend(report.node_addresses.iter().map(|address| format!("         {address}")));
    }
    if let Some(max) = report.open_files_max {
        lines.push(format!("files    {max} may be open at once"));
    }
    lines.push(String::new());
    lines.push(format!("{:24} {:12} {:>8}  {}", "COMPONENT", "STATE", "SINCE", "DETAIL"));
    lines.extend(report.components.iter().map(|component| {
        let line =
            format!("{:24} {:12} {:>8}  {}", component.name, component.state, age(component.seconds), component.detail);
        line.trim_end().to_owned()
    }));
    lines
}

/// A span as kubectl writes ages: one or two units.
fn age(seconds: u64) -> String {
    match seconds {
        0..120 => format!("{seconds}s"),
        120..7_200 => format!("{}m{}s", seconds / 60, seconds % 60),
        7_200..172_800 => format!("{}h{}m", seconds / 3_600, seconds % 3_600 / 60),
        _ => format!("{}d", seconds / 86_400),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::components::Component;

    fn report(node_state: &str, dns: &str) -> Report {
        let component = |name: &str, state: &str| Component {
            name: name.to_owned(),
            state: state.to_owned(),
            detail: "detail".to_owned(),
            seconds: 75,
        };
        Report {
            node: "node-1".to_owned(),
            node_state: node_state.to_owned(),
            node_addresses: vec!["InternalIP 10.0.0.7".to_owned()],
            components: vec![component("kube-apiserver", RUNNING), component("dns", dns)],
            ..Report::default()
        }
    }

    #[test]
    fn a_cluster_is_ready_when_its_node_and_all_its_parts_are() {
        assert!(is_ready(&report("Ready", RUNNING)));
        assert!(!is_ready(&report("NotReady", RUNNING)));
        assert!(!is_ready(&report("Ready", "Restarting")));
        assert!(is_ready(&Report::default()), "a control plane has no node");
        let starting = Report { starting: Some("node Ready".to_owned()), ..report("Ready", RUNNING) };
        assert!(!is_ready(&starting));
        assert!(lines(&starting).contains(&"state    starting: at \"node Ready\", not ready yet".to_owned()));
    }

    #[test]
    fn node_addresses_and_parts_have_a_line_each() {
        let lines = lines(&report("Ready", "Restarting"));
        assert!(lines.contains(&"node     node-1: Ready".to_owned()), "{lines:#?}");
        assert!(lines.contains(&"         InternalIP 10.0.0.7".to_owned()));
        assert_eq!(lines.last().unwrap(), "dns                      Restarting        75s  detail");
    }

    #[test]
    fn spans_have_one_or_two_units() {
        for (seconds, want) in [(5, "5s"), (119, "119s"), (150, "2m30s"), (7_260, "2h1m"), (400_000, "4d")] {
            assert_eq!(age(seconds), want);
        }
    }
}

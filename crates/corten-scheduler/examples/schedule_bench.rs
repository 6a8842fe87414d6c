//! Schedules pods onto 1,000 nodes, without an API server, and prints how many per second.

use std::{io::Write, sync::Arc};

use corten_base::{SimRng, SystemClock};
use corten_scheduler::{
    cache::{NodeFacts, PodInfo, Snapshot},
    framework::{Config, Profile},
    schedule_one::{Failure, schedule},
};

const NODES: usize = 1_000;
const PODS: usize = 20_000;

fn main() -> std::io::Result<()> {
    let mut snapshot = Snapshot::default();
    for at in 0..NODES {
        let json = format!(
            r#"{{"metadata":{{"name":"node-{at}","labels":{{"kubernetes.io/hostname":"node-{at}",
            "topology.kubernetes.io/zone":"zone-{}"}}}},
            "status":{{"allocatable":{{"cpu":"32","memory":"64Gi","pods":"110"}}}}}}"#,
            at % 3
        );
        snapshot.set_node(NodeFacts::from_json(&json.into()).expect("it is a node"));
    }
    let pods: Vec<Arc<PodInfo>> = (0..PODS)
        .map(|at| {
            let json = format!(
                r#"{{"metadata":{{"name":"pod-{at}","namespace":"default","uid":"uid-{at}","labels":{{"app":"web"}}}},
                "spec":{{"containers":[{{"image":"web:1","resources":{{"requests":{{"cpu":"100m","memory":"128Mi"}}}}}}]}}}}"#
            );
            Arc::new(PodInfo::from_json(&json.into()).expect("it is a pod"))
        })
        .collect();
    let profile = Profile::build(&Config::default().profiles[0]).expect("the default profile is valid");
    let (rng, clock) = (SimRng::shared(1), SystemClock::shared());
    let (mut start, mut bound) = (0, 0);
    let begin = clock.monotonic();
    for pod in pods {
        match schedule(&profile, 0, &snapshot, &pod, &mut start, rng.as_ref()) {
            Ok(suggestion) => {
                bound += 1;
                snapshot.assume(Arc::new(pod.on_node(&suggestion.node)));
            }
            Err(Failure::Unschedulable { message, .. } | Failure::Error(message)) => panic!("{message}"),
        }
    }
    let elapsed = clock.monotonic() - begin;
    let rate = f64::from(bound) / elapsed.as_secs_f64();
    writeln!(std::io::stdout(), "{bound} pods on {NODES} nodes in {elapsed:?}: {rate:.0} pods/s")
}

//! What was acknowledged survives a crash.

use std::{
    sync::atomic::{AtomicBool, Ordering},
    thread,
};

use corten_e2e::Cluster;
use parking_lot::Mutex;

const ROUNDS: usize = 5;
const WRITERS: usize = 4;

#[test]
fn no_acknowledged_object_is_lost_when_the_process_is_killed_during_writes() {
    let mut cluster = Cluster::start().unwrap();
    let mut acknowledged: Vec<String> = Vec::new();
    for round in 0..ROUNDS {
        let kubectl = cluster.kubectl().unwrap();
        let (written, stop) = (Mutex::new(Vec::new()), AtomicBool::new(false));
        thread::scope(|scope| {
            for writer in 0..WRITERS {
                let (kubectl, written, stop) = (kubectl.clone(), &written, &stop);
                scope.spawn(move || {
                    for number in 0.. {
                        if stop.load(Ordering::Relaxed) {
                            break;
                        }
                        let name = format!("round-{round}-{writer}-{number}");
                        if kubectl.run(&["create", "configmap", &name]).unwrap().success {
                            written.lock().push(name);
                        }
                    }
                });
            }
            // Somewhere in the middle of writes: every writer has been answered a few times.
            while written.lock().len() < WRITERS * (round + 2) {
                thread::yield_now();
            }
            cluster.crash().unwrap();
            stop.store(true, Ordering::Relaxed);
        });
        acknowledged.extend(written.into_inner());
        cluster.restart().unwrap();
    }
    let names = cluster.kubectl().unwrap().ok(&["get", "configmaps", "-o", "name"]);
    let lost: Vec<&String> =
        acknowledged.iter().filter(|name| !names.contains(&format!("configmap/{name}\n"))).collect();
    assert!(lost.is_empty(), "of {} acknowledged objects, lost: {lost:?}", acknowledged.len());
    cluster.stop().unwrap();
}

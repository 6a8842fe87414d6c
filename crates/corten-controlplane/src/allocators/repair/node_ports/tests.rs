use corten_apimachinery::stored::Facts;

use super::*;

fn service(uid: &str, ports: &[i64]) -> (Arc<Stored>, Vec<i64>) {
    let stored = Stored {
        revision: 1,
        namespace: "default".into(),
        name: uid.into(),
        uid: uid.into(),
        json: "".into(),
        facts: Facts::default(),
    };
    (Arc::new(stored), ports.to_vec())
}

fn pool(taken: &[(i64, &str)]) -> Ports {
    let mut pool = Ports::new((30_000, 30_099));
    for &(port, owner) in taken {
        pool.take(port, owner).unwrap();
    }
    pool
}

#[track_caller]
fn check(
    taken: &[(i64, &str)],
    services: &[(Arc<Stored>, Vec<i64>)],
    want: &[(&str, i64, Wrong)],
    after: &[(i64, &str)],
) {
    let (mut pool, mut leaks) = (pool(taken), Leaks::default());
    let findings = repair(&mut pool, &mut leaks, services);
    let found: Vec<_> = findings.iter().map(|finding| (&*finding.service.uid, finding.port, finding.wrong)).collect();
    assert_eq!(found, want);
    let owners: Vec<(i64, Str)> = pool.owners().collect();
    assert_eq!(owners, after.iter().map(|&(port, owner)| (port, owner.into())).collect::<Vec<_>>());
}

#[test]
fn ports_follow_the_services_that_have_them() {
    let (a, b) = (service("a", &[30_001, 30_001]), service("b", &[30_001]));
    let (alone, both) = ([a.clone()], [a, b]);
    check(&[(30_001, "a")], &alone, &[], &[(30_001, "a")]);
    check(&[], &alone, &[("a", 30_001, Wrong::NotAllocated)], &[(30_001, "a")]);
    check(&[(30_001, "gone")], &alone, &[("a", 30_001, Wrong::NotAllocated)], &[(30_001, "a")]);
    check(&[(30_001, "a")], &both, &[("b", 30_001, Wrong::Duplicate)], &[(30_001, "a")]);
    check(&[(30_001, "b")], &both, &[("a", 30_001, Wrong::Duplicate)], &[(30_001, "b")]);
    check(&[], &[service("c", &[80])], &[("c", 80, Wrong::OutOfRange((30_000, 30_099)))], &[]);
}

#[test]
fn what_no_service_has_goes_back_in_the_third_round() {
    let (mut pool, mut leaks) = (pool(&[(30_001, "a"), (30_002, "b")]), Leaks::default());
    let services = [service("b", &[30_002])];
    let mut held = Vec::new();
    for _ in 0..4 {
        assert_eq!(repair(&mut pool, &mut leaks, &services), []);
        held.push(pool.owner(30_001).is_some());
    }
    assert_eq!(held, [true, true, false, false]);
    assert_eq!(pool.owner(30_002), Some("b"));
}

/// Whoever takes a port that is counted begins anew.
#[test]
fn a_port_that_changes_hands_is_not_counted_on() {
    let (mut pool, mut leaks) = (pool(&[(30_001, "a")]), Leaks::default());
    for _ in 0..2 {
        repair(&mut pool, &mut leaks, &[]);
    }
    pool.release(30_001, "a");
    pool.take(30_001, "b").unwrap();
    repair(&mut pool, &mut leaks, &[]);
    assert_eq!(pool.owner(30_001), Some("b"));
}

#[test]
fn findings_are_told_in_upstreams_words() {
    let (holder, _) = service("a", &[]);
    let check = |wrong: Wrong, reason: &str, message: &str| {
        let finding = Finding { service: &holder, port: 30_001, wrong };
        assert_eq!(finding.event(), (reason, message.to_owned()));
    };
    check(Wrong::NotAllocated, "PortNotAllocated", "Port 30001 is not allocated; repairing");
    let message = "Port 30001 was assigned to multiple services; please recreate service";
    check(Wrong::Duplicate, "PortAlreadyAllocated", message);
    let message = "Port 30001 is not within the port range 1-2; please recreate service";
    check(Wrong::OutOfRange((1, 2)), "PortOutOfRange", message);
}

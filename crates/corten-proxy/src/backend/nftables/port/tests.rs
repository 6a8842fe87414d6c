use std::net::IpAddr;

use super::*;

fn address(last: u8) -> SocketAddr {
    SocketAddr::new(IpAddr::from([10, 1, 0, last]), 80)
}

#[track_caller]
fn check(before: &[u8], after: &[u8], want_slots: &[u8], want_touched: usize) {
    let mut group = Group::new("c-1".to_owned());
    group.slots = before.iter().map(|n| address(*n)).collect();
    let endpoints: BTreeSet<_> = after.iter().map(|n| address(*n)).collect();
    let (gone, came) = (group.gone(&endpoints), group.came(&endpoints));
    let Reassigned { replaced, added, unused } = group.reassign(&gone, &came);
    assert_eq!(group.slots(), want_slots.iter().map(|n| address(*n)).collect::<Vec<_>>());
    assert_eq!((replaced.len() + unused.len()).max(added.len()), want_touched);
    assert_eq!(unused.len(), before.len().saturating_sub(after.len()), "the last numbers");
}

#[test]
fn endpoints_keep_their_numbers_when_others_change() {
    check(&[], &[1, 2, 3], &[1, 2, 3], 3);
    check(&[1, 2, 3], &[1, 2, 3, 4], &[1, 2, 3, 4], 1);
    check(&[1, 2, 3, 4], &[1, 3, 4], &[1, 4, 3], 2);
    check(&[1, 2, 3], &[1, 3, 4], &[1, 4, 3], 1);
    check(&[1, 2, 3], &[1], &[1], 2);
    check(&[1, 2, 3, 4], &[4], &[4], 4);
}

#[test]
fn clients_of_endpoints_that_went_choose_anew_until_those_come_back() {
    let mut group = Group { affinity: Some(Duration::from_secs(1)), ..Group::new("c-1".to_owned()) };
    let set = |last: &[u8]| -> BTreeSet<SocketAddr> { last.iter().map(|n| address(*n)).collect() };
    assert!(!group.pass_over(true, &[], &set(&[1, 2])));
    assert!(group.pass_over(true, &[address(1)], &set(&[2])));
    assert_eq!(group.gone, [address(1)]);
    assert!(!group.pass_over(true, &[], &set(&[2])));
    assert!(group.pass_over(true, &[address(2)], &set(&[1])));
    assert_eq!(group.gone, [address(2)], "the first is back");
    let many: Vec<SocketAddr> = (0..=255).map(address).collect();
    group.pass_over(true, &many, &set(&[]));
    assert_eq!(group.gone, many[256 - GONE_MAX..]);
    assert!(group.pass_over(false, &[], &set(&[])), "nothing is passed over without affinity");
    assert!(group.gone.is_empty());
}

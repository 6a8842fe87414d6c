//! How large each ReplicaSet of a deployment has to be. Pure.
//!
//! Upstream: pkg/controller/deployment/{rolling,sync}.go and util/deployment_util.go (v1.35).

use std::cmp::Reverse;

use super::view::{DESIRED_REPLICAS, Deployment, MAX_REPLICAS, ReplicaSet};

/// A sum that stays the largest number where there is none for it: nothing but a count of pods may be negative.
pub(super) fn sum(numbers: impl Iterator<Item = i32>) -> i32 {
    numbers.fold(0, i32::saturating_add)
}

/// The sum of `spec.replicas`.
#[must_use]
pub fn total<'a>(sets: impl IntoIterator<Item = &'a ReplicaSet>) -> i32 {
    sum(sets.into_iter().map(ReplicaSet::replicas))
}

/// The size of the newest ReplicaSet: as large as the surge allows. `others` are the old ones' pods.
#[must_use]
pub fn new_size(deployment: &Deployment, new: i32, others: i32) -> i32 {
    let wanted = deployment.replicas();
    if !deployment.is_rolling() || new >= wanted {
        return wanted;
    }
    let allowed = i64::from(wanted) + i64::from(deployment.max_surge());
    let room = allowed - i64::from(new) - i64::from(others);
    new + room.clamp(0, i64::from(wanted - new)) as i32
}

/// The steps by which the old ReplicaSets get smaller, as indexes and sizes: first pods that are of no use, then as many
/// as leave enough available ones.
#[must_use]
pub fn shrink_old(deployment: &Deployment, new: Option<&ReplicaSet>, old: &[ReplicaSet]) -> Vec<(usize, i32)> {
    let exact = |of: fn(&ReplicaSet) -> i32| old.iter().map(|set| i64::from(of(set))).sum::<i64>();
    let old_pods = exact(ReplicaSet::replicas);
    if old_pods == 0 {
        return Vec::new();
    }
    let min_available = i64::from(deployment.replicas() - deployment.max_unavailable());
    let new_available = new.map_or(0, |new| i64::from(new.available()));
    // Pods of the newest that are not available yet must not be paid for by old ones that are.
    let max_cleanup = old_pods - min_available + new_available;
    if max_cleanup <= 0 {
        return Vec::new();
    }
    let mut order: Vec<usize> = (0..old.len()).collect();
    order.sort_by_key(|&index| old[index].age_key());
    let mut sizes: Vec<i32> = old.iter().map(ReplicaSet::replicas).collect();
    let mut steps = Vec::new();
    let mut shrink = |sizes: &mut [i32], budget: i64, surplus: &dyn Fn(usize, i32) -> i32| {
        let mut left = budget;
        for &index in &order {
            let count = i64::from(surplus(index, sizes[index])).min(left);
            if count > 0 {
                sizes[index] -= count as i32;
                left -= count;
                steps.push((index, sizes[index]));
            }
        }
    };
    shrink(&mut sizes, max_cleanup, &|index, size| size.saturating_sub(old[index].available()));
    let available = exact(ReplicaSet::available) + new_available;
    shrink(&mut sizes, available - min_available, &|_, size| size);
    steps
}

/// Whether the newest ReplicaSet has taken everything over.
#[must_use]
pub fn is_saturated(deployment: &Deployment, new: Option<&ReplicaSet>) -> bool {
    let wanted = deployment.replicas();
    new.is_some_and(|new| {
        new.replicas() == wanted && new.number(DESIRED_REPLICAS) == Some(wanted) && new.available() == wanted
    })
}

/// The sizes after the deployment was scaled in the middle of a rollout: `sets` are the active ReplicaSets, and each
/// gets its share of what is to be added or taken. The result is in the order in which it is to be applied.
#[must_use]
pub fn proportional(deployment: &Deployment, sets: &[ReplicaSet]) -> Vec<(usize, i32)> {
    let wanted = deployment.replicas();
    let allowed = if wanted > 0 { wanted.saturating_add(deployment.max_surge()) } else { 0 };
    let to_add = allowed.saturating_sub(total(sets));
    let mut order: Vec<usize> = (0..sets.len()).collect();
    // Of the same size, the newer one gets more, and the older one loses more.
    if to_add > 0 {
        order.sort_by_key(|&index| (Reverse(sets[index].replicas()), Reverse(sets[index].age_key())));
    } else {
        order.sort_by_key(|&index| (Reverse(sets[index].replicas()), sets[index].age_key()));
    }
    let mut added = 0;
    let mut sizes: Vec<(usize, i32)> = Vec::with_capacity(sets.len());
    for &index in &order {
        let share = share(deployment, &sets[index], to_add, added);
        added += share;
        sizes.push((index, sets[index].replicas().saturating_add(share)));
    }
    if let Some((_, size)) = sizes.first_mut() {
        // What rounding left goes to the largest.
        *size = size.saturating_add(to_add - added).max(0);
    }
    sizes
}

fn share(deployment: &Deployment, set: &ReplicaSet, to_add: i32, added: i32) -> i32 {
    if set.replicas() == 0 || to_add == 0 || to_add == added {
        return 0;
    }
    let (share, rest) = (fraction(deployment, set), to_add - added);
    if to_add > 0 { share.min(rest) } else { share.max(rest) }
}

/// How much the set has to grow or shrink to keep its part of the whole.
fn fraction(deployment: &Deployment, set: &ReplicaSet) -> i32 {
    let wanted = deployment.replicas();
    if wanted == 0 {
        return -set.replicas();
    }
    let before = set.number(MAX_REPLICAS).filter(|max| *max != 0).unwrap_or_else(|| {
        // Somebody took the annotation away: what the deployment has now is the best guess.
        crate::objects::i32_at(&deployment.tree, &["status", "replicas"])
    });
    if before == 0 {
        return 0;
    }
    let size = f64::from(set.replicas()) * (f64::from(wanted) + f64::from(deployment.max_surge())) / f64::from(before);
    (size.round() as i32).saturating_sub(set.replicas())
}

/// Which old ReplicaSets are beyond the history, as indexes, oldest revision first.
#[must_use]
pub fn beyond_history(deployment: &Deployment, old: &[ReplicaSet]) -> Vec<usize> {
    use corten_apimachinery::meta::ObjectMeta as _;
    let Some(limit) = deployment.history_limit() else { return Vec::new() };
    let mut alive: Vec<usize> =
        (0..old.len()).filter(|&index| old[index].tree.deletion_timestamp().is_none()).collect();
    alive.sort_by_key(|&index| (old[index].revision(), old[index].age_key()));
    alive.truncate(alive.len().saturating_sub(limit));
    alive.retain(|&index| !old[index].is_in_use());
    alive
}

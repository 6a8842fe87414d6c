//! Lists of tolerations, put together: what another toleration covers is left out.
//!
//! Nothing bounds how many a pod has before it is validated, so each is looked up and not compared with each.
//! Upstream: `MergeTolerations` in pkg/util/tolerations (v1.35).

use std::collections::{HashMap, HashSet};

use corten_apimachinery::value::Value;

/// A toleration, as far as merging looks at it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
struct Toleration<'v> {
    key: &'v str,
    operator: &'v str,
    value: &'v str,
    effect: &'v str,
    seconds: Option<i64>,
}

/// The taints that a toleration takes but for their effect: with any value for `None`. `Exists` without a key takes all.
type Taints<'v> = (&'v str, Option<&'v str>);

/// For how long: `Forever` is the longest.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Limit {
    Seconds(i64),
    Forever,
}

/// Of the tolerations that take the same, the two that last longest and differ: for whoever is one of them.
type Longest<'v> = [Option<(Limit, Toleration<'v>)>; 2];

/// Tolerations by what they take, and with which effect.
#[derive(Debug, Default)]
struct Index<'v>(HashMap<(Taints<'v>, &'v str), Longest<'v>>);

impl<'v> Toleration<'v> {
    fn of(value: &'v Value) -> Self {
        let text = |key: &str| value.str_at(&[key]).unwrap_or_default();
        Self {
            key: text("key"),
            operator: text("operator"),
            value: text("value"),
            effect: text("effect"),
            seconds: value.i64_at(&["tolerationSeconds"]),
        }
    }

    fn taints(&self) -> Option<Taints<'v>> {
        match self.operator {
            "" | "Equal" => Some((self.key, Some(self.value))),
            "Exists" => Some((self.key, None)),
            _ => None,
        }
    }

    fn limit(&self) -> Limit {
        match self.seconds {
            Some(seconds) if self.effect == "NoExecute" => Limit::Seconds(seconds),
            _ => Limit::Forever,
        }
    }
}

impl<'v> Index<'v> {
    fn add(&mut self, toleration: Toleration<'v>) {
        let Some(taints) = toleration.taints() else { return };
        let [first, second] = self.0.entry((taints, toleration.effect)).or_default();
        let new = (toleration.limit(), toleration);
        let is_better = |than: &Option<(Limit, Toleration<'_>)>| than.is_none_or(|(limit, _)| new.0 > limit);
        if first.is_some_and(|(_, known)| known == toleration) {
        } else if is_better(first) {
            *second = first.replace(new);
        } else if is_better(second) {
            *second = Some(new);
        }
    }

    /// Whether everything that `narrow` tolerates is also tolerated by one of these that is another.
    fn covers(&self, narrow: &Toleration<'v>) -> bool {
        let value = Some(narrow.value).filter(|_| narrow.operator == "Equal");
        let same = value.map(|value| (narrow.key, Some(value)));
        let wider = [Some((narrow.key, None)), Some(("", None)), same];
        // Without an effect, a toleration takes those of every effect.
        wider.into_iter().flatten().any(|taints| {
            ["", narrow.effect].into_iter().any(|effect| {
                let known = self.0.get(&(taints, effect)).into_iter().flatten().flatten();
                let longest = known.filter(|(_, known)| known != narrow).map(|(limit, _)| *limit).max();
                longest.is_some_and(|longest| match (longest, narrow.seconds) {
                    (Limit::Forever, _) => true,
                    (Limit::Seconds(longest), Some(seconds)) => seconds <= longest,
                    (Limit::Seconds(_), None) => false,
                })
            })
        })
    }
}

/// Both lists without what another toleration of them covers; of two that are equal, the first stays.
pub(super) fn merged(first: &[Value], second: &[Value]) -> Vec<Value> {
    let all: Vec<(&Value, Toleration<'_>)> =
        first.iter().chain(second).map(|value| (value, Toleration::of(value))).collect();
    let mut later = Index::default();
    let mut is_covered_later = vec![false; all.len()];
    for (covered, (_, toleration)) in is_covered_later.iter_mut().zip(&all).rev() {
        *covered = later.covers(toleration);
        later.add(*toleration);
    }
    let (mut kept, mut seen, mut earlier) = (Vec::new(), HashSet::new(), Index::default());
    for ((value, toleration), covered_later) in all.into_iter().zip(is_covered_later) {
        if covered_later || earlier.covers(&toleration) || !seen.insert(toleration) {
            continue;
        }
        earlier.add(toleration);
        kept.push(value.clone());
    }
    kept
}

#[cfg(test)]
mod tests {
    use corten_base::SimRng;
    use serde_json::json;

    use super::*;
    use crate::testing::tree as parsed;

    #[test]
    fn a_toleration_that_another_covers_goes() {
        let check = |all: [serde_json::Value; 2], want: &[usize]| {
            let all = all.map(parsed);
            let got = merged(&all[..1], &all[1..]);
            let want: Vec<Value> = want.iter().map(|&index| all[index].clone()).collect();
            assert_eq!(got, want, "{all:?}");
        };
        let equal = |value: &str| json!({"key": "k", "operator": "Equal", "value": value, "effect": "NoSchedule"});
        let exists = |effect: &str| json!({"key": "k", "operator": "Exists", "effect": effect});
        let seconds = |seconds: i64| json!({"key": "k", "operator": "Exists", "effect": "NoExecute", "tolerationSeconds": seconds});
        check([equal("a"), equal("a")], &[0]);
        check([equal("a"), equal("b")], &[0, 1]);
        check([equal("a"), exists("NoSchedule")], &[1]);
        check([equal("a"), exists("NoExecute")], &[0, 1]);
        check([json!({"operator": "Exists"}), equal("a")], &[0]);
        check([seconds(10), seconds(20)], &[1]);
        check([exists("NoExecute"), seconds(20)], &[0]);
    }

    /// What is meant: `wide` takes all that `narrow` does.
    fn covers(wide: &Toleration<'_>, narrow: &Toleration<'_>) -> bool {
        if wide == narrow {
            return true;
        }
        let takes_all_keys = wide.key.is_empty() && wide.operator == "Exists";
        let is_too_short = wide.effect == "NoExecute"
            && wide.seconds.is_some_and(|limit| narrow.seconds.is_none_or(|seconds| seconds > limit));
        (narrow.key == wide.key || takes_all_keys)
            && (wide.effect.is_empty() || narrow.effect == wide.effect)
            && !is_too_short
            && match wide.operator {
                "" | "Equal" => narrow.operator == "Equal" && narrow.value == wide.value,
                "Exists" => true,
                _ => false,
            }
    }

    #[test]
    fn looking_up_finds_what_comparing_each_with_each_does() {
        let rng = SimRng::shared(7);
        let pick = |texts: &[&'static str]| texts[rng.below(texts.len() as u64) as usize];
        for round in 0..2_000 {
            let all: Vec<Value> = (0..rng.below(7))
                .map(|_| {
                    let mut toleration = json!({
                        "key": pick(&["", "k", "l"]),
                        "operator": pick(&["", "Equal", "Exists", "Foo"]),
                        "value": pick(&["", "v"]),
                        "effect": pick(&["", "NoExecute", "NoSchedule"]),
                    });
                    if rng.below(2) == 0 {
                        toleration["tolerationSeconds"] = json!(rng.below(3));
                    }
                    parsed(toleration)
                })
                .collect();
            let each: Vec<_> = all.iter().map(Toleration::of).collect();
            let mut want: Vec<usize> = Vec::new();
            for (at, narrow) in each.iter().enumerate() {
                let is_covered = want.iter().any(|&kept| covers(&each[kept], narrow))
                    || each[at + 1..].iter().any(|later| later != narrow && covers(later, narrow));
                if !is_covered {
                    want.push(at);
                }
            }
            let want: Vec<Value> = want.into_iter().map(|at| all[at].clone()).collect();
            assert_eq!(merged(&all, &[]), want, "seed 7, round {round}: {all:?}");
        }
    }

    /// A pod of 2 MB kept a thread for hours.
    #[test]
    fn any_number_of_tolerations_is_merged_at_once() {
        let all: Vec<Value> =
            (0..100_000).map(|n| parsed(json!({"key": "k", "operator": "Equal", "value": n.to_string()}))).collect();
        assert_eq!(merged(&all, &[]).len(), all.len());
    }
}

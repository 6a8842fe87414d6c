//! Laws of sets and of applying, on random input; proptest prints the seed of what fails.

use proptest::prelude::*;

use super::{
    FieldSet, Typed,
    tests::{Cluster, table},
};
use crate::{
    codec::json,
    value::{Str, Value},
};

fn fields() -> impl Strategy<Value = FieldSet> {
    let name = prop::sample::select(vec!["f:a", "f:b", "f:c", "k:{\"n\":1}", "k:{\"n\":2}", "v:\"x\""]);
    let leaf = Just(Value::object());
    let tree = leaf.prop_recursive(4, 24, 4, move |inner| {
        (prop::collection::btree_map(name.clone(), inner, 0..4), any::<bool>()).prop_map(|(map, member)| {
            let mut entries: Vec<(Str, Value)> = map.into_iter().map(|(key, value)| (key.into(), value)).collect();
            if member && !entries.is_empty() {
                entries.push((".".into(), Value::object()));
            }
            Value::object_of(entries)
        })
    });
    tree.prop_map(|tree| {
        let root = Value::object_of([("f:root", tree)]);
        FieldSet::from_value(&root).expect("it is made of path elements")
    })
}

fn containers() -> impl Strategy<Value = Vec<Value>> {
    let names = prop::sample::subsequence(vec!["a", "b", "c", "d"], 0..=4).prop_shuffle();
    (names, any::<[Option<bool>; 4]>()).prop_map(|(names, tty)| {
        let items = names.into_iter().zip(tty).map(|(name, tty)| {
            let mut item = Value::object_of([("name", Value::from(name))]);
            if let Some(tty) = tty {
                item.set(&["tty"], tty);
            }
            item
        });
        items.collect()
    })
}

pub(super) fn configuration() -> impl Strategy<Value = Value> {
    let labels = prop::collection::btree_map(prop::sample::select(vec!["x", "y", "z"]), "[ab]", 0..3);
    let args = prop::option::of(prop::collection::vec("[ab]", 1..3));
    (prop::option::of(1_i64..4), labels, containers(), args).prop_map(|(replicas, labels, mut containers, args)| {
        let mut object = Value::object();
        if let (Some(args), Some(first)) = (args, containers.first_mut()) {
            first.set(&["args"], args.into_iter().map(Value::from).collect::<Vec<_>>());
        }
        if let Some(replicas) = replicas {
            object.set(&["spec", "replicas"], replicas);
        }
        for (key, value) in labels {
            object.set(&["metadata", "labels", key], value);
        }
        if !containers.is_empty() {
            object.set(&["spec", "containers"], containers);
        }
        object
    })
}

fn text(value: &Value) -> String {
    String::from_utf8(json::encode(value, None).into()).expect("JSON is UTF-8")
}

proptest! {
    #[test]
    fn sets_obey_the_laws_of_sets(a in fields(), b in fields(), c in fields()) {
        prop_assert_eq!(a.union(&b), b.union(&a));
        prop_assert_eq!(a.union(&b).union(&c), a.union(&b.union(&c)));
        prop_assert_eq!(FieldSet::union_of(vec![a.clone(), b.clone(), c.clone()]), a.union(&b).union(&c));
        prop_assert_eq!(a.intersection(&b), b.intersection(&a));
        prop_assert_eq!(a.union(&a.intersection(&b)), a.clone());
        prop_assert_eq!(a.intersection(&b.union(&c)), a.intersection(&b).union(&a.intersection(&c)));
        prop_assert_eq!(a.difference(&b).union(&a.intersection(&b)), a.clone());
        prop_assert!(a.difference(&b).intersection(&b).is_empty());
        prop_assert_eq!(a.intersects(&b), !a.intersection(&b).is_empty());
        prop_assert_eq!(a.union(&b).len() + a.intersection(&b).len(), a.len() + b.len());
        prop_assert!(a.difference_with_children(&b).difference(&a.difference(&b)).is_empty());
        let (mut without, mut without_children) = (a.clone(), a.clone());
        without.subtract(&b);
        without_children.subtract_with_children(&b);
        prop_assert_eq!((without, without_children), (a.difference(&b), a.difference_with_children(&b)));
        prop_assert_eq!(FieldSet::from_value(&a.to_value()).unwrap(), a);
    }

    #[test]
    fn applying_twice_changes_nothing(first in configuration(), second in configuration()) {
        let mut cluster = Cluster::new();
        cluster.put("creator", &text(&first));
        cluster.try_apply("me", &text(&second), true).unwrap();
        let once = cluster.live.clone();
        cluster.apply("me", &text(&second));
        prop_assert_eq!(&cluster.live, &once);
    }

    #[test]
    fn an_applier_alone_gets_what_it_applied_last(first in configuration(), second in configuration()) {
        let mut cluster = Cluster::new();
        cluster.apply("me", &text(&first)).apply("me", &text(&second));
        let mut fresh = Cluster::new();
        fresh.apply("me", &text(&second));
        let spec = |cluster: &Cluster| {
            let mut spec = cluster.live.clone().unwrap();
            let labels = spec.at(&["metadata", "labels"]).cloned();
            (spec.unset(&["spec"]), labels.filter(|labels| *labels != Value::object()))
        };
        prop_assert_eq!(spec(&cluster), spec(&fresh));
    }

    #[test]
    fn a_comparison_accounts_for_all_paths(old in configuration(), new in configuration()) {
        let (table, id) = table();
        let typed = Typed::new(&table, id);
        let difference = typed.compare(&old, &new);
        let (before, after) = (typed.field_set(&old), typed.field_set(&new));
        // What was there and did not go, and what came, is what is there.
        let expected = before.difference(&difference.removed).union(&difference.added.intersection(&after));
        prop_assert_eq!(expected, after);
        prop_assert!(difference.modified.difference(&before).is_empty());
        prop_assert!(typed.compare(&old, &old.clone()).is_empty());
    }

    #[test]
    fn a_merge_has_all_that_the_configuration_says(live in configuration(), config in configuration()) {
        let (table, id) = table();
        let typed = Typed::new(&table, id);
        let merged = typed.merge(&live, &config);
        let difference = typed.compare(&config, &merged);
        prop_assert!(difference.modified.is_empty());
        prop_assert!(difference.removed.is_empty());
        prop_assert_eq!(typed.merge(&merged, &config), merged);
    }
}

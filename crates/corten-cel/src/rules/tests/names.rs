//! Names as expressions spell them.

use super::super::{escape, is_identifier};

#[test]
fn names_are_spelled_as_identifiers() {
    for (name, wanted) in [
        ("a", Some("a")),
        ("_a1", Some("_a1")),
        ("a-b", Some("a__dash__b")),
        ("a.b/c", Some("a__dot__b__slash__c")),
        ("a__b", Some("a__underscores__b")),
        ("a___b", Some("a__underscores___b")),
        ("namespace", Some("__namespace__")),
        ("in", Some("__in__")),
        ("-", Some("__dash__")),
        ("", None),
        ("1a", None),
        ("a b", None),
        ("$ref", None),
        ("\u{e9}", None),
    ] {
        assert_eq!(escape(name).as_deref(), wanted, "{name}");
    }
}

#[test]
fn names_of_variables_are_words_that_mean_nothing_yet() {
    for name in ["a", "_a1", "Object", "namespaceObject"] {
        assert!(is_identifier(name), "{name}");
    }
    for name in ["", "1a", "a-b", "a.b", "in", "namespace", "\u{e9}"] {
        assert!(!is_identifier(name), "{name}");
    }
}

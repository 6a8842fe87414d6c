use super::*;
use crate::codec::FieldValidation;

fn read(text: &str) -> Value {
    json::decode(text.as_bytes(), None, FieldValidation::Ignore).unwrap().value
}

#[track_caller]
fn check(object: &str, patch: &str, want: &str) {
    assert_eq!(apply(&read(object), &read(patch)).unwrap(), read(want), "{object} + {patch}");
}

/// The answer was that of an operation that does not fit the object.
#[test]
fn what_is_no_operation_makes_it_no_patch() {
    for (patch, kind) in [("[1]", "number"), ("[[]]", "array"), (r#"["a"]"#, "string"), ("[null, true]", "bool")] {
        let error = apply(&read("{}"), &read(patch)).unwrap_err();
        let why =
            format!("error decoding patch: json: cannot unmarshal {kind} into Go value of type jsonpatch.Operation");
        assert_eq!(error, PatchError::Invalid(why));
    }
    let error = apply(&read("{}"), &read(r#"[{"op":1,"path":"/a"}]"#)).unwrap_err();
    assert!(matches!(error, PatchError::Inapplicable(_)), "Go reads each field when it is needed: {error}");
}

#[test]
fn operations_apply_in_order() {
    check(
        r#"{"a":1}"#,
        r#"[{"op":"add","path":"/b","value":[1]},{"op":"add","path":"/b/-","value":2}]"#,
        r#"{"a":1,"b":[1,2]}"#,
    );
    check(r#"{"a":[1,2,3]}"#, r#"[{"op":"remove","path":"/a/1"}]"#, r#"{"a":[1,3]}"#);
    check(r#"{"a/b":{"~":1}}"#, r#"[{"op":"replace","path":"/a~1b/~0","value":2}]"#, r#"{"a/b":{"~":2}}"#);
    check(
        r#"{"a":{"x":1}}"#,
        r#"[{"op":"move","from":"/a/x","path":"/b"},{"op":"copy","from":"/b","path":"/a/y"}]"#,
        r#"{"a":{"y":1},"b":1}"#,
    );
    check(r#"{"a":1}"#, r#"[{"op":"test","path":"/a","value":1}]"#, r#"{"a":1}"#);
}

#[test]
fn operations_that_do_not_fit_are_refused() {
    for patch in [
        r#"[{"op":"remove","path":"/x"}]"#,
        r#"[{"op":"test","path":"/a","value":2}]"#,
        r#"[{"op":"add","path":"/a/b","value":1}]"#,
        r#"[{"op":"jump","path":"/a"}]"#,
        r#"{"op":"add"}"#,
    ] {
        assert!(apply(&read(r#"{"a":1,"l":[0,1]}"#), &read(patch)).is_err(), "{patch}");
    }
}

#[test]
fn operations_cannot_build_deeper_than_a_body_may_be() {
    // Each adds 6,000 levels below the last: the second is one too many.
    let deep = format!("{}0{}", r#"{"a":"#.repeat(6_000), "}".repeat(6_000));
    for op in ["add", "replace"] {
        let below = "/a".repeat(6_000);
        let patch =
            format!(r#"[{{"op":"add","path":"/x","value":{deep}}},{{"op":"{op}","path":"/x{below}","value":{deep}}}]"#);
        assert!(matches!(apply(&read("{}"), &read(&patch)), Err(PatchError::TooLarge(_))), "{op}");
    }
    for op in ["copy", "move"] {
        let below = "/a".repeat(5_999);
        let patch = format!(
            r#"[{{"op":"add","path":"/x","value":{deep}}},{{"op":"add","path":"/y","value":{deep}}},{{"op":"{op}","from":"/y","path":"/x{below}/b"}}]"#
        );
        assert!(matches!(apply(&read("{}"), &read(&patch)), Err(PatchError::TooLarge(_))), "{op}");
    }
}

#[test]
fn copies_cannot_grow_without_bound() {
    let copies: Vec<String> = (0..60).map(|_| r#"{"op":"copy","from":"/y","path":"/y/-"}"#.to_owned()).collect();
    let patch = read(&format!("[{}]", copies.join(",")));
    assert!(matches!(apply(&read(r#"{"y":[0]}"#), &patch), Err(PatchError::Inapplicable(_))));
    // Few nodes, but long ones: bytes count.
    let long = read(&format!(r#"{{"data":{{"k":"{}"}}}}"#, "x".repeat(1 << 20)));
    let copy = |n: usize| (0..n).map(|at| format!(r#"{{"op":"copy","from":"/data/k","path":"/data/k{at}"}}"#));
    let patch = |n: usize| read(&format!("[{}]", copy(n).collect::<Vec<_>>().join(",")));
    assert!(apply(&long, &patch(2)).is_ok());
    assert_eq!(
        apply(&long, &patch(3)).unwrap_err().to_string(),
        "Unable to complete the copy, the accumulated size increase of copy is 3145734, exceeding the limit 3145728"
    );
}

/// Ten thousand operations on a large object kept a thread busy for tens of seconds, again for every conflict.
#[test]
fn many_operations_on_a_large_object_are_refused() {
    let large = read(&format!(r#"{{"x":[{}],"y":{{}}}}"#, vec!["0"; 100_000].join(",")));
    let check = |operation: &str, times: usize, fits: bool| {
        let patch = read(&format!("[{}]", vec![operation; times].join(",")));
        let result = apply(&large, &patch);
        assert_eq!(result.is_ok(), fits, "{operation} {times} times: {:?}", result.err());
        assert!(result.is_ok() || matches!(result, Err(PatchError::TooLarge(_))));
    };
    for (operation, fits_often) in [
        (r#"{"op":"add","path":"/x/0","value":1}"#, false),
        (r#"{"op":"remove","path":"/x/0"}"#, false),
        (r#"{"op":"move","from":"/x","path":"/x"}"#, false),
        (r#"{"op":"add","path":"/x/-","value":1}"#, true),
        (r#"{"op":"replace","path":"/x/7","value":1}"#, true),
    ] {
        check(operation, 20, true);
        check(operation, 9_000, fits_often);
    }
}

/// What upstream's library makes of operations that RFC 6902 has otherwise, or not at all; `None` where it refuses.
#[test]
fn operations_mean_what_upstreams_library_makes_of_them() {
    const OBJECT: &str = r#"{"a":1,"l":[0,1,2],"n":null,"o":{"x":[]}}"#;
    let cases: &[(&str, Option<&str>)] = &[
        // Indexes are those of `strconv.Atoi`, and count from the end below zero.
        (r#"{"op":"add","path":"/l/01","value":9}"#, Some(r#"{"a":1,"l":[0,9,1,2],"n":null,"o":{"x":[]}}"#)),
        (r#"{"op":"add","path":"/l/+1","value":9}"#, Some(r#"{"a":1,"l":[0,9,1,2],"n":null,"o":{"x":[]}}"#)),
        (r#"{"op":"add","path":"/l/-0","value":9}"#, Some(r#"{"a":1,"l":[9,0,1,2],"n":null,"o":{"x":[]}}"#)),
        (r#"{"op":"add","path":"/l/-1","value":9}"#, Some(r#"{"a":1,"l":[0,1,2,9],"n":null,"o":{"x":[]}}"#)),
        (r#"{"op":"add","path":"/l/-4","value":9}"#, Some(r#"{"a":1,"l":[9,0,1,2],"n":null,"o":{"x":[]}}"#)),
        (r#"{"op":"add","path":"/l/-5","value":9}"#, None),
        (r#"{"op":"add","path":"/l/3","value":9}"#, Some(r#"{"a":1,"l":[0,1,2,9],"n":null,"o":{"x":[]}}"#)),
        (r#"{"op":"add","path":"/l/4","value":9}"#, None),
        (r#"{"op":"add","path":"/l/1_0","value":9}"#, None),
        (r#"{"op":"add","path":"/l/","value":9}"#, None),
        (r#"{"op":"remove","path":"/l/-1"}"#, Some(r#"{"a":1,"l":[0,1],"n":null,"o":{"x":[]}}"#)),
        (r#"{"op":"remove","path":"/l/-3"}"#, Some(r#"{"a":1,"l":[1,2],"n":null,"o":{"x":[]}}"#)),
        (r#"{"op":"remove","path":"/l/-4"}"#, None),
        (r#"{"op":"remove","path":"/l/-"}"#, None),
        (r#"{"op":"replace","path":"/l/-1","value":9}"#, Some(r#"{"a":1,"l":[0,1,9],"n":null,"o":{"x":[]}}"#)),
        (r#"{"op":"replace","path":"/l/3","value":9}"#, None),
        (r#"{"op":"replace","path":"/l/-","value":9}"#, None),
        (r#"{"op":"test","path":"/l/-1","value":2}"#, Some(OBJECT)),
        (r#"{"op":"test","path":"/l/002","value":2}"#, Some(OBJECT)),
        // A value that is not there is null.
        (r#"{"op":"add","path":"/a"}"#, Some(r#"{"a":null,"l":[0,1,2],"n":null,"o":{"x":[]}}"#)),
        (r#"{"op":"replace","path":"/a"}"#, Some(r#"{"a":null,"l":[0,1,2],"n":null,"o":{"x":[]}}"#)),
        (r#"{"op":"test","path":"/n"}"#, Some(OBJECT)),
        (r#"{"op":"test","path":"/n","value":null}"#, Some(OBJECT)),
        (r#"{"op":"test","path":"/none","value":null}"#, Some(OBJECT)),
        (r#"{"op":"test","path":"/none/none","value":null}"#, None),
        (r#"{"op":"test","path":"/a"}"#, None),
        (r#"{"op":"test","path":"/a","value":null}"#, None),
        (r#"{"op":"test","path":"/l/3","value":null}"#, None),
        // Objects are not asked whether they have a key.
        (r#"{"op":"replace","path":"/b","value":2}"#, Some(r#"{"a":1,"b":2,"l":[0,1,2],"n":null,"o":{"x":[]}}"#)),
        (r#"{"op":"copy","from":"/b","path":"/c"}"#, Some(r#"{"a":1,"c":null,"l":[0,1,2],"n":null,"o":{"x":[]}}"#)),
        (r#"{"op":"move","from":"/b","path":"/c"}"#, None),
        (r#"{"op":"remove","path":"/b"}"#, None),
        (r#"{"op":"replace","path":"/n/x","value":2}"#, None),
        (r#"{"op":"copy","from":"/l/3","path":"/c"}"#, None),
        // What stands before the first slash says nothing.
        (r#"{"op":"replace","path":"x/a","value":2}"#, Some(r#"{"a":2,"l":[0,1,2],"n":null,"o":{"x":[]}}"#)),
        (r#"{"op":"replace","path":"a","value":2}"#, None),
        (r#"{"op":"add","path":"/","value":2}"#, Some(r#"{"":2,"a":1,"l":[0,1,2],"n":null,"o":{"x":[]}}"#)),
        // The whole object is replaced and tested, and nothing else.
        (r#"{"op":"replace","path":"","value":{"b":1}}"#, Some(r#"{"b":1}"#)),
        (r#"{"op":"replace","path":"","value":[1]}"#, Some("[1]")),
        (r#"{"op":"replace","path":"","value":null}"#, None),
        (r#"{"op":"replace","path":""}"#, None),
        (r#"{"op":"replace","path":"","value":1}"#, None),
        (r#"{"op":"test","path":"","value":{"a":1,"l":[0,1,2],"n":null,"o":{"x":[]}}}"#, Some(OBJECT)),
        (r#"{"op":"add","path":"","value":{}}"#, None),
        (r#"{"op":"remove","path":""}"#, None),
        (r#"{"op":"copy","from":"","path":"/b"}"#, None),
        (r#"{"op":"move","from":"","path":"/b"}"#, None),
        // No operation.
        ("null", None),
        ("{}", None),
        (r#"{"op":"add"}"#, None),
        (r#"{"op":"add","path":null,"value":1}"#, None),
        (r#"{"op":"Add","path":"/b","value":1}"#, None),
    ];
    for (operation, want) in cases {
        let got = apply(&read(OBJECT), &read(&format!("[{operation}]")));
        assert_eq!(got.as_ref().ok(), want.map(read).as_ref(), "{operation}: {:?}", got.as_ref().err());
    }
}

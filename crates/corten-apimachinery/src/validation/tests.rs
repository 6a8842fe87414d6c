use super::{
    cidr_warnings, ip_warnings, is_c_identifier, is_config_map_key, is_dns1035_label, is_dns1123_label,
    is_dns1123_label_prefixed, is_dns1123_subdomain, is_dns1123_subdomain_prefixed, is_env_var_name, is_label_value,
    is_path_segment_name, is_percent, is_port_name, is_port_number, is_qualified_name, is_relaxed_env_var_name,
    is_smaller_part, parse_cidr_sloppy, parse_ip_sloppy, validate_canonical_cidr, validate_canonical_ip,
    validate_cidr_form, validate_domain_prefixed_path, validate_ip_form, validate_object_meta,
    validate_object_meta_update, validate_standard_finalizers,
};
use crate::{field::Path, gvk::GroupVersionKind, status::Status, value::Value};

#[track_caller]
fn check(rule: fn(&str) -> Vec<String>, good: &[&str], bad: &[&str]) {
    for text in good {
        assert_eq!(rule(text), Vec::<String>::new(), "{text:?}");
    }
    for text in bad {
        assert_ne!(rule(text), Vec::<String>::new(), "{text:?}");
    }
}

#[test]
fn names_are_taken_and_refused_as_upstream_does() {
    let long_label = "a".repeat(64);
    check(is_dns1123_subdomain, &["a", "0", "a-b.c", "1.2.3"], &["", "A", "-a", "a-", "a..b", "a_b", ".a"]);
    check(is_dns1123_label, &["a", "0a", "a-b"], &["", "a.b", "A", "-a", "a-", &long_label]);
    check(is_dns1035_label, &["a", "a0", "a-b"], &["", "0a", "a.b", "a-"]);
    check(is_qualified_name, &["a", "A_b.c-d", "example.com/a"], &["", "/a", "a/", "a/b/c", "-a", "E.com/a", "a b"]);
    check(is_label_value, &["", "a", "A_b.c"], &["-a", "a-", "a b", &long_label]);
    check(is_path_segment_name, &["system:node", "A b"], &[".", "..", "a/b", "a%b"]);
    check(is_c_identifier, &["a", "_A1"], &["", "1a", "a-b"]);
    check(is_env_var_name, &["A", "a.b-c", "_"], &["", "1A", "..", "a b"]);
    check(is_relaxed_env_var_name, &["1A", "a b", "~"], &["", "a=b", "\u{e4}", "a\tb"]);
    check(is_config_map_key, &["a", ".a", "A_b-1"], &["", ".", "..", "..a", "a/b"]);
    check(is_port_name, &["http", "p-1"], &["", "80", "-a", "a--b", "HTTP", "aaaaaaaaaaaaaaaa"]);
    check(is_percent, &["0%", "25%"], &["%", "25", "-1%", "a%"]);
    check(|text| is_port_number(text.parse().unwrap()), &["1", "65535"], &["0", "65536", "-1"]);
}

#[test]
fn a_prefix_may_end_in_a_dash() {
    assert!(is_dns1123_subdomain_prefixed("web-", true).is_empty());
    assert!(!is_dns1123_subdomain_prefixed("web-", false).is_empty());
    // A prefix of 63 letters and a dash was too long, and a dash alone was none.
    for (prefix, fits) in
        [("a".repeat(63), true), ("a".repeat(64), false), ("a_".to_owned(), true), (String::new(), false)]
    {
        let complaints = is_dns1123_label_prefixed(&format!("{prefix}-"), true);
        assert_eq!(complaints.is_empty(), fits, "{prefix}: {complaints:?}");
    }
}

#[test]
fn messages_name_the_regex_and_examples() {
    assert_eq!(
        is_dns1123_label("A"),
        ["a lowercase RFC 1123 label must consist of lower case alphanumeric characters or '-', and must start and \
          end with an alphanumeric character (e.g. 'my-name',  or '123-abc', regex used for validation is \
          '[a-z0-9]([-a-z0-9]*[a-z0-9])?')"]
    );
    assert_eq!(is_dns1123_label("a.b"), ["must not contain dots"]);
    assert_eq!(is_port_number(0), ["must be between 1 and 65535, inclusive"]);
}

#[test]
fn addresses_may_be_sloppy_and_are_warned_about() {
    assert_eq!(parse_ip_sloppy("010.0.0.1"), "10.0.0.1".parse().ok());
    assert_eq!(parse_ip_sloppy("::ffff:1.2.3.4"), "1.2.3.4".parse().ok());
    assert_eq!(parse_ip_sloppy("1.2.3"), None);
    assert_eq!(parse_ip_sloppy("1.2.3.256"), None);
    assert_eq!(parse_cidr_sloppy("10.0.0.0/33"), None);
    let path = Path::new("spec").child("ip");
    assert_eq!(ip_warnings(&path, "10.0.0.1"), Vec::<String>::new());
    assert_eq!(
        ip_warnings(&path, "010.0.0.1"),
        ["spec.ip: non-standard IP address \"010.0.0.1\" will be considered invalid in a future Kubernetes release: \
          use \"10.0.0.1\""]
    );
    assert_eq!(
        ip_warnings(&path, "FD00::1"),
        ["spec.ip: IPv6 address \"FD00::1\" should be in RFC 5952 canonical format (\"fd00::1\")"]
    );
    assert_eq!(
        cidr_warnings(&path, "10.0.0.1/24"),
        ["spec.ip: CIDR value \"10.0.0.1/24\" is ambiguous in this context (should be \"10.0.0.0/24\" or \
          \"10.0.0.1/32\"?)"]
    );
}

#[test]
fn strict_forms_are_the_ones_that_everybody_reads_alike() {
    let path = Path::new("ip");
    let texts = |errors: crate::field::ErrorList| errors.iter().map(|error| error.detail.clone()).collect::<Vec<_>>();
    let cases: [(&str, &str); 7] = [
        ("10.0.0.1", ""),
        ("fd00::1", ""),
        ("010.0.0.1", "must not have leading 0s"),
        ("::ffff:10.0.0.1", "must not be an IPv4-mapped IPv6 address"),
        ("FD00::1", "must be in canonical form (\"fd00::1\")"),
        ("fd00:0::1", "must be in canonical form (\"fd00::1\")"),
        ("ten", "must be a valid IP address, (e.g. 10.9.8.7 or 2001:db8::ffff)"),
    ];
    for (text, want) in cases {
        let want: Vec<&str> = Some(want).filter(|want| !want.is_empty()).into_iter().collect();
        assert_eq!(texts(validate_canonical_ip(&path, text)), want, "{text}");
    }
    let cases: [(&str, &str); 8] = [
        ("10.0.0.0/8", ""),
        ("fd00::/64", ""),
        ("10.0.0.1/8", "must not have bits set beyond the prefix length"),
        ("10.0.0.0/08", "must not have leading 0s in IP or prefix length"),
        ("010.0.0.0/8", "must not have leading 0s in IP or prefix length"),
        ("::ffff:10.0.0.0/104", "must not have an IPv4-mapped IPv6 address"),
        ("FD00::/64", "must be in canonical form (\"fd00::/64\")"),
        ("10.0.0.0", "must be a valid CIDR value, (e.g. 10.9.8.0/24 or 2001:db8::/64)"),
    ];
    for (text, want) in cases {
        let want: Vec<&str> = Some(want).filter(|want| !want.is_empty()).into_iter().collect();
        assert_eq!(texts(validate_canonical_cidr(&path, text)), want, "{text}");
    }
    for sloppy in ["10.0.0.1/8", "10.0.0.0/08", "FD00::/64"] {
        assert_eq!(texts(validate_cidr_form(&path, sloppy, false)), [""; 0], "{sloppy}");
    }
    assert_eq!(texts(validate_ip_form(&path, "010.0.0.1", false)), [""; 0]);
}

#[test]
fn a_part_of_a_network_is_smaller_than_it() {
    let part = |inner: &str, outer: &str| {
        is_smaller_part(parse_cidr_sloppy(inner).unwrap(), parse_cidr_sloppy(outer).unwrap())
    };
    assert!(part("10.1.0.0/16", "10.0.0.0/8") && part("fd00::/96", "fd00::/64") && part("1.1.1.1/32", "0.0.0.0/0"));
    assert!(!part("10.0.0.0/8", "10.0.0.0/8") && !part("11.0.0.0/16", "10.0.0.0/8") && !part("::/96", "0.0.0.0/0"));
}

#[test]
fn controllers_are_named_below_a_domain() {
    let texts = |text: &str| {
        let errors = validate_domain_prefixed_path(text, &Path::new("c"));
        errors.iter().map(ToString::to_string).collect::<Vec<_>>()
    };
    assert_eq!(texts("acme.io/a/b"), [""; 0]);
    assert_eq!(texts(""), ["c: Required value"]);
    for text in ["acme.io", "/a", "acme.io/"] {
        let want = format!("c: Invalid value: \"{text}\": must be a domain-prefixed path (such as \"acme.io/foo\")");
        assert_eq!(texts(text), [want]);
    }
    assert_eq!(
        texts("acme.io/a b"),
        [r#"c: Invalid value: "a b": Invalid path (regex used for validation is '[A-Za-z0-9/\-._~%!$&'()*+,;=:]+')"#]
    );
}

fn named(name: &str, namespace: &str) -> Value {
    let mut object = Value::object();
    object.set(&["metadata", "name"], name);
    if !namespace.is_empty() {
        object.set(&["metadata", "namespace"], namespace);
    }
    object
}

fn errors_of_new(object: &Value, is_namespaced: bool) -> Vec<String> {
    validate_object_meta(object, is_namespaced, &is_dns1123_subdomain_prefixed, &Path::new("metadata"))
        .iter()
        .map(ToString::to_string)
        .collect()
}

#[test]
fn new_metadata_is_checked() {
    assert_eq!(errors_of_new(&named("a", "b"), true), Vec::<String>::new());
    assert_eq!(
        errors_of_new(&named("", "b"), true),
        ["metadata.name: Required value: name or generateName is required"]
    );
    assert_eq!(errors_of_new(&named("a", ""), true), ["metadata.namespace: Required value"]);
    assert_eq!(errors_of_new(&named("a", "b"), false), ["metadata.namespace: Forbidden: not allowed on this type"]);
    let mut object = named("a", "b");
    object.set(&["metadata", "labels", "k"], "not valid");
    object.set(&["metadata", "annotations", "a"], "x".repeat(256 * 1_024));
    let errors = errors_of_new(&object, true);
    assert!(
        errors[0].starts_with("metadata.labels: Invalid value: \"not valid\": a valid label must be"),
        "{errors:?}"
    );
    assert_eq!(errors[1], "metadata.annotations: Too long: may not be more than 262144 bytes");
}

#[test]
fn owners_and_finalizers_are_checked() {
    let owner = |uid: &str| {
        Value::object_of([
            ("apiVersion", "apps/v1".into()),
            ("kind", "ReplicaSet".into()),
            ("name", "web".into()),
            ("uid", uid.into()),
            ("controller", true.into()),
        ])
    };
    let mut object = named("a", "b");
    object.set(&["metadata", "ownerReferences"], vec![owner(""), owner("1")]);
    object.set(&["metadata", "finalizers"], vec!["orphan".into(), "foregroundDeletion".into()]);
    let errors = errors_of_new(&object, true);
    assert_eq!(errors[0], "metadata.ownerReferences.uid: Invalid value: \"\": must not be empty");
    assert!(
        errors[1].ends_with(
            "Only one reference can have Controller set to true. Found \"true\" in references for ReplicaSet/web and \
             ReplicaSet/web"
        ),
        "{errors:?}"
    );
    assert!(errors[2].ends_with("finalizer orphan and foregroundDeletion cannot be both set"), "{errors:?}");
}

#[test]
fn a_finalizer_has_a_domain_or_is_known() {
    let mut object = named("a", "b");
    object.set(&["metadata", "finalizers"], vec!["kubernetes".into(), "mine".into(), "example.com/mine".into()]);
    assert_eq!(errors_of_new(&object, true), [""; 0], "custom resources take any");
    let errors = validate_standard_finalizers(&object, &Path::new("metadata"));
    let errors: Vec<String> = errors.iter().map(ToString::to_string).collect();
    assert_eq!(
        errors,
        ["metadata.finalizers[1]: Invalid value: \"mine\": name is neither a standard finalizer name nor is it fully \
          qualified"]
    );
}

#[test]
fn an_update_keeps_what_the_server_set() {
    let mut old = named("a", "b");
    old.set(&["metadata", "uid"], "1");
    old.set(&["metadata", "resourceVersion"], "7");
    old.set(&["metadata", "deletionTimestamp"], "2026-01-01T00:00:00Z");
    let mut new = old.clone();
    new.set(&["metadata", "uid"], "2");
    new.unset(&["metadata", "resourceVersion"]);
    new.set(&["metadata", "finalizers"], vec!["example.com/f".into()]);
    let errors: Vec<String> =
        validate_object_meta_update(&new, &old, &Path::new("metadata")).iter().map(ToString::to_string).collect();
    assert_eq!(
        errors,
        [
            "metadata.finalizers: Forbidden: no new finalizers can be added if the object is being deleted, found new \
             finalizers []string{\"example.com/f\"}",
            "metadata.resourceVersion: Invalid value: \"\": must be specified for an update",
            "metadata.uid: Invalid value: \"2\": field is immutable",
        ]
    );
}

/// One error for each bad item, each with all items in it, was more than fits into memory.
#[test]
fn hostile_metadata_is_refused_without_a_copy_of_it_for_each_error() {
    fn invalid(metadata: Value) -> String {
        let object = Value::object_of([("metadata", metadata)]);
        let errors = validate_object_meta(&object, false, &|_, _| Vec::new(), &Path::new("metadata"));
        Status::invalid(&GroupVersionKind::new("", "v1", "Node"), "a", &errors).message
    }

    fn metadata(field: &'static str, value: impl Into<Value>) -> Value {
        Value::object_of([("name", Value::from("a")), (field, value.into())])
    }
    const ITEMS: usize = 30_000;
    let owner = |number: usize| {
        Value::object_of([
            ("apiVersion", Value::from("v1")),
            ("controller", true.into()),
            ("kind", "K".into()),
            ("name", "n".into()),
            ("uid", number.to_string().into()),
        ])
    };
    let owners = |count: usize| metadata("ownerReferences", (0..count).map(owner).collect::<Vec<_>>());
    let text = invalid(owners(ITEMS));
    assert!(text.contains("Only one reference can have Controller set to true") && text.len() < 8_000_000);
    let three = invalid(owners(3));
    // Both errors have the same text, which is shown once.
    assert_eq!(three.matches("Found \"true\" in references for K/n and K/n").count(), 1, "{three}");

    let bad: Vec<Value> = (0..10 * ITEMS).map(|number| format!("{number}!").into()).collect();
    let text = invalid(metadata("finalizers", bad));
    assert!(text.ends_with("and more errors, which are not shown]") && text.len() < 2_000_000);
    let labels = |value: &str| Value::object_of((0..10 * ITEMS).map(|number| (format!("{number}!"), value.into())));
    for field in ["labels", "annotations"] {
        let text = invalid(metadata(field, labels("-")));
        assert!(text.ends_with("and more errors, which are not shown]") && text.len() < 2_000_000);
    }
    let manager = Value::object_of([
        ("manager", Value::from("\n".repeat(10 * ITEMS))),
        ("operation", "Update".into()),
        ("fieldsType", "FieldsV1".into()),
    ]);
    let text = invalid(metadata("managedFields", vec![manager]));
    assert!(text.contains("invalid character U+000A (at position 0)") && text.len() < 2_000_000);
}

#[test]
fn a_new_finalizer_is_found_among_very_many() {
    const ITEMS: usize = 100_000;
    let object = |count: usize| {
        let finalizers: Vec<Value> = (0..count).map(|number| format!("a/{number:06}").into()).collect();
        let fields = [
            ("deletionTimestamp", Value::from("2020-01-01T00:00:00Z")),
            ("name", "a".into()),
            ("resourceVersion", "1".into()),
            ("finalizers", finalizers.into()),
        ];
        Value::object_of([("metadata", Value::object_of(fields))])
    };
    let errors = |new: usize| validate_object_meta_update(&object(new), &object(ITEMS), &Path::new("metadata"));
    assert!(errors(ITEMS).is_empty());
    let mut large = errors(ITEMS + 1).into_iter();
    let (Some(error), None) = (large.next(), large.next()) else { panic!("there is one error") };
    assert!(error.to_string().ends_with("found new finalizers []string{\"a/100000\"}"), "{error}");
}

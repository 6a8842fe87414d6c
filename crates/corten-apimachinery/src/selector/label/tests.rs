use super::*;

fn labels(pairs: &[(&str, &str)]) -> Labels {
    pairs.iter().copied().collect()
}

#[track_caller]
fn check(text: &str, pairs: &[(&str, &str)], want: bool) {
    assert_eq!(Selector::parse(text).unwrap().matches(&labels(pairs)), want, "{text}");
}

#[test]
fn requirements_all_have_to_hold() {
    let web = &[("app", "web"), ("generation", "7"), ("in", "in")];
    check("", web, true);
    check("app", web, true);
    check("!app", web, false);
    check("!tier", web, true);
    check("app=web", web, true);
    check("app == web , tier != front", web, true);
    check("app!=web", web, false);
    check("app in (db,web)", web, true);
    check("app notin (db,web)", web, false);
    check("tier notin (db)", web, true);
    check("tier in (db)", web, false);
    check("generation>6,generation<8", web, true);
    check("generation>7", web, false);
    check("app>1", web, false);
    check("tier=", web, false);
    check("in in (in)", web, true);
    check("app in (,x)", &[("app", "")], true);
}

#[test]
fn what_is_said_of_one_label_is_put_together() {
    let web = &[("app", "web"), ("generation", "7")];
    check("app in (web,db),app in (web,x),app!=db", web, true);
    check("app in (web,db),app in (db,x)", web, false);
    check("app=web,app notin (a,web)", web, false);
    check("app!=a,app!=b,app", web, true);
    check("app,!app", web, false);
    check("tier,!tier", web, false);
    check("generation>5,generation>6,generation<9,generation<8", web, true);
    check("generation>5,generation>7", web, false);
    check("generation<7,generation<9", web, false);
    // More keys than there are labels: then the labels are gone through.
    check("!a,!b,!c,!d,app=web", web, true);
    check("!a,!b,!c,!d,tier", web, false);
    check("!a,!b,!c,!app", web, false);
    check("a!=x,b!=x,c notin (x),app", web, true);
    check("app,app,app=web,generation,!x", web, true);
    let object = Value::object_of([(
        "metadata",
        Value::object_of([("labels", Value::object_of([("app", Value::from("web"))]))]),
    )]);
    for (text, want) in [("!a,!b,app", true), ("!a,!b,app=db", false), ("app", true), ("!app", false)] {
        assert_eq!(Selector::parse(text).unwrap().matches_object(&object), want, "{text}");
    }
    assert!(Selector::parse("!a").unwrap().matches_object(&Value::object()));
}

/// Each of 20,000 requirements was tried on every object, and each of 30,000 values compared: 64 KB of query made a list
/// of 10,000 objects take seconds. Here it would take minutes.
#[test]
fn a_match_does_not_cost_what_a_selector_says() {
    let many = |form: fn(usize) -> String, between: &str| (0..20_000).map(form).collect::<Vec<_>>().join(between);
    let keys = Selector::parse(&many(|n| format!("!k{n}"), ",")).unwrap();
    let values = Selector::parse(&format!("app notin ({})", many(|n| format!("v{n}"), ","))).unwrap();
    let repeated = Selector::parse(&many(|n| format!("app!=v{n}"), ",")).unwrap();
    let required = Selector::parse(&many(|n| format!("k{n}"), ",")).unwrap();
    assert_eq!((keys.keys(), values.keys(), repeated.keys()), (20_000, 1, 1));
    let labels = labels(&[("app", "web"), ("tier", "front")]);
    for _ in 0..300_000 {
        assert!(keys.matches(&labels) && values.matches(&labels) && repeated.matches(&labels));
        assert!(!required.matches(&labels));
    }
}

#[test]
fn texts_are_written_in_order() {
    for (text, want) in [
        ("b=2,a", "a,b=2"),
        ("x in (c, b,a),!y", "x in (a,b,c),!y"),
        ("x notin (a),y==1,z!=2", "x notin (a),y==1,z!=2"),
        ("x>1,y<2", "x>1,y<2"),
        ("x=", "x="),
        ("x in ()", ""),
    ] {
        match Selector::parse(text) {
            Ok(selector) => assert_eq!(selector.to_string(), want),
            Err(_) => assert_eq!(want, ""),
        }
    }
}

#[test]
fn texts_are_refused_in_upstreams_words() {
    for (text, want) in [
        ("x=1,", "found '', expected: identifier after ','"),
        ("x=1 y", "found 'y', expected: ',' or 'end of string'"),
        (",x", "found ',', expected: !, identifier, or 'end of string'"),
        ("x y", "unable to parse requirement: found 'y', expected: in, notin, =, ==, !=, gt, lt"),
        ("x in a", "unable to parse requirement: found 'a' expected: '('"),
        ("x in (a b)", "unable to parse requirement: found 'b', expected: ',' or ')'"),
        ("x=(", "unable to parse requirement: found '(', expected: identifier"),
        ("!", "unable to parse requirement: found '', expected: identifier"),
        (
            "x>a",
            "unable to parse requirement: values[0]: Invalid value: \"a\": for 'Gt', 'Lt' operators, the value must be \
             an integer",
        ),
        (
            "x in ()",
            "unable to parse requirement: values: Invalid value: []: for 'in', 'notin' operators, values set can't be \
             empty",
        ),
    ] {
        assert_eq!(Selector::parse(text).unwrap_err().to_string(), want, "{text}");
    }
    let key = Selector::parse("a/b/c=d").unwrap_err().to_string();
    assert!(key.starts_with("unable to parse requirement: <nil>: Invalid value: \"a/b/c\": "), "{key}");
    let value = Selector::parse("x=a/b").unwrap_err().to_string();
    assert!(value.starts_with("unable to parse requirement: values[0][x]: Invalid value: \"a/b\": "), "{value}");
}

#[test]
fn an_object_selects_as_its_text() {
    let expression = |key: &str, operator: &str, values: &[&str]| {
        Value::object_of([
            ("key", key.into()),
            ("operator", operator.into()),
            ("values", Value::array(values.iter().map(|&value| value.into()))),
        ])
    };
    let object = Value::object_of([
        ("matchLabels", Value::object_of([("app", Value::from("web"))])),
        ("matchExpressions", Value::array([expression("tier", "In", &["b", "a"]), expression("x", "Exists", &[])])),
    ]);
    assert_eq!(Selector::from_object(&object).unwrap().to_string(), "app=web,tier in (a,b),x");
    assert!(Selector::from_object(&Value::object()).unwrap().is_empty());
    let nothing = Selector::from_object(&Value::Null).unwrap();
    assert!(!nothing.is_empty() && !nothing.matches(&Labels::default()));
    let wrong = Value::object_of([("matchExpressions", Value::array([expression("x", "Gt", &["1"])]))]);
    assert_eq!(
        Selector::from_object(&wrong).unwrap_err().to_string(),
        r#""Gt" is not a valid label selector operator"#
    );
}

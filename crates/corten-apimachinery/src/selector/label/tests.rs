use super::*;

fn labels(pairs: &[(&str, &str)]) -> Vec<(Str, Str)> {
    pairs.iter().map(|(key, value)| (Str::from(*key), Str::from(*value))).collect()
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
    assert!(!nothing.is_empty() && !nothing.matches(&[]));
    let wrong = Value::object_of([("matchExpressions", Value::array([expression("x", "Gt", &["1"])]))]);
    assert_eq!(
        Selector::from_object(&wrong).unwrap_err().to_string(),
        r#""Gt" is not a valid label selector operator"#
    );
}

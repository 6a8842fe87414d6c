use std::collections::BTreeMap;

use super::*;

fn read(text: &str) -> Value {
    decode(text.as_bytes(), None, FieldValidation::Strict).unwrap().value
}

fn from_json(text: &str) -> Value {
    json::decode(text.as_bytes(), None, FieldValidation::Ignore).unwrap().value
}

#[track_caller]
fn check_read(yaml: &str, want: &str) {
    assert_eq!(read(yaml), from_json(want), "{yaml}");
}

#[track_caller]
fn check_write(value: impl Into<Value>, want: &str) {
    let value = value.into();
    let written = encode(&value);
    assert_eq!(std::str::from_utf8(&written).unwrap(), want);
    assert_eq!(decode(&written, None, FieldValidation::Strict).unwrap().value, value);
}

#[test]
fn scalars_are_those_of_yaml_1_1() {
    check_read(
        "a: 0644\nb: yes\nc: off\nd: 1.0\ne: 1.5\nf: ~\ng: 0x10",
        r#"{"a":420,"b":true,"c":false,"d":1,"e":1.5,"f":null,"g":16}"#,
    );
    check_read("a: \"yes\"\nb: '1'\nc: 2020-01-01\nd: 1m", r#"{"a":"yes","b":"1","c":"2020-01-01","d":"1m"}"#);
    check_read("1: a\ntrue: b", r#"{"1":"a","true":"b"}"#);
}

#[test]
fn merge_keys_and_aliases_are_followed() {
    check_read("x: &x {a: 1, b: 2}\nz:\n  <<: *x\n  b: 3", r#"{"x":{"a":1,"b":2},"z":{"a":1,"b":3}}"#);
}

#[test]
fn the_first_document_counts_and_all_can_be_had() {
    check_read("a: 1\n---\nb: 2", r#"{"a":1}"#);
    check_read("a: 1\n---\nb: [", r#"{"a":1}"#);
    check_read("# Nothing.\n", "null");
    check_read("", "null");
    assert_eq!(decode_all(b"a: 1\n---\n---\nb: 2\n").unwrap(), [from_json(r#"{"a":1}"#), from_json(r#"{"b":2}"#)]);
}

#[test]
fn a_key_that_comes_twice_is_reported_and_the_last_counts() {
    let text = b"a: 1\nb: 2\na: 3\n";
    let decoded = decode(text, None, FieldValidation::Strict).unwrap();
    assert_eq!(decoded.value, from_json(r#"{"a":3,"b":2}"#));
    assert_eq!(decoded.complaints(), ["yaml: unmarshal errors:\n  line 3: key \"a\" already set in map"]);
    assert!(decode(text, None, FieldValidation::Ignore).unwrap().complaints().is_empty());
}

#[test]
fn hostile_texts_are_refused() {
    let mut bomb = "a0: &a0 [x,x,x,x,x,x,x,x,x,x]\n".to_owned();
    for level in 1..12 {
        let alias = format!("*a{}", level - 1);
        bomb.push_str(&format!("a{level}: &a{level} [{}]\n", vec![alias; 10].join(",")));
    }
    for text in [bomb, "[".repeat(100_000), "a: [".to_owned(), "a: b: c".to_owned(), "a: .inf".to_owned()] {
        assert!(decode(text.as_bytes(), None, FieldValidation::Ignore).is_err());
    }
}

#[test]
fn texts_take_the_style_of_go_yaml() {
    for (text, want) in [
        ("plain text", "plain text\n"),
        ("", "\"\"\n"),
        ("yes", "\"yes\"\n"),
        ("n", "\"n\"\n"),
        ("null", "\"null\"\n"),
        ("0644", "\"0644\"\n"),
        ("1e3", "\"1e3\"\n"),
        ("1.5", "\"1.5\"\n"),
        ("12:30", "\"12:30\"\n"),
        ("2008-01-01T01:01:01Z", "\"2008-01-01T01:01:01Z\"\n"),
        ("2008-01-01", "\"2008-01-01\"\n"),
        ("100m", "100m\n"),
        ("1.2.3.4", "1.2.3.4\n"),
        ("10.0.0.0/8", "10.0.0.0/8\n"),
        ("a: b", "'a: b'\n"),
        ("a:b", "a:b\n"),
        ("a #b", "'a #b'\n"),
        ("- a", "'- a'\n"),
        ("-a", "-a\n"),
        ("*", "'*'\n"),
        ("{}", "'{}'\n"),
        ("'", "''''\n"),
        ("trailing ", "'trailing '\n"),
        ("tab\there", "\"tab\\there\"\n"),
        ("\u{1f600}", "\"\\U0001F600\"\n"),
        ("\u{e9}", "\u{e9}\n"),
    ] {
        check_write(text, want);
    }
}

#[test]
fn lines_are_kept_as_literals() {
    let entry = |text: &str| Value::object_of([("k", text.into()), ("z", Value::from(1_i64))]);
    check_write(entry("a\nb\n"), "k: |\n  a\n  b\nz: 1\n");
    check_write(entry("a\n\nb"), "k: |-\n  a\n\n  b\nz: 1\n");
    check_write(entry("a\n\n"), "k: |+\n  a\n\nz: 1\n");
    check_write(entry("  a\nb"), "k: |2-\n    a\n  b\nz: 1\n");
    check_write(entry("a \nb"), "k: \"a \\nb\"\nz: 1\n");
}

#[test]
fn long_texts_are_folded() {
    let words = ["word"; 20].join(" ");
    let first = ["word"; 16].join(" ");
    let second = ["word"; 4].join(" ");
    check_write(Value::object_of([("key", Value::from(words))]), &format!("key: {first}\n  {second}\n"));
}

#[test]
fn nodes_nest_as_in_go_yaml() {
    check_write(
        from_json(r#"{"a":{"b":[{"c":1,"d":[[1,2],[]]},"e"]},"f":{},"g":[],"h":null,"i":1.5,"j":1e30}"#),
        "a:\n  b:\n  - c: 1\n    d:\n    - - 1\n      - 2\n    - []\n  - e\nf: {}\ng: []\nh: null\ni: 1.5\nj: 1e+30\n",
    );
    check_write(from_json("{}"), "{}\n");
}

#[test]
fn keys_stand_in_natural_order() {
    let object = Value::object_of(["a10", "a9", "a", "b", "A", "0", "a-b", "a.b"].map(|key| (key, Value::from(1_i64))));
    let written = encode(&object);
    let keys: Vec<&str> = std::str::from_utf8(&written)
        .unwrap()
        .lines()
        .map(|line| line.trim_end_matches(": 1").trim_matches('"'))
        .collect();
    assert_eq!(keys, ["0", "A", "a", "a-b", "a.b", "a9", "a10", "b"]);
}

/// Upstream's order is none for such keys, of which the standard sort may make a panic.
#[test]
fn keys_without_an_order_are_written_all() {
    let parts = ["0", "1", "9", "a", "B", "-", ".", "09", "99999999999999999999"];
    let keys = (0..729).map(|n| format!("{}{}{}", parts[n / 81], parts[n / 9 % 9], parts[n % 9]));
    let object: BTreeMap<String, i64> = keys.map(|key| (key, 1)).collect();
    let value = Value::object_of(object.iter().map(|(key, one)| (key.as_str(), Value::from(*one))));
    let written = encode(&value);
    assert_eq!(std::str::from_utf8(&written).unwrap().lines().count(), object.len());
    assert_eq!(decode(&written, None, FieldValidation::Strict).unwrap().value, value);
}

/// Texts spoke of budgets, breaches and limits that only this library knows.
#[test]
fn what_is_wrong_is_said_in_the_words_of_go_yaml() {
    #[track_caller]
    fn check(text: &str, want: &str) {
        let shown: String = text.chars().take(40).collect();
        let error = decode(text.as_bytes(), None, FieldValidation::Warn).unwrap_err();
        assert_eq!(error.to_string(), want, "{shown}");
    }
    let mut bomb = "a0: &a0 [x,x,x,x,x,x,x,x,x,x]\n".to_owned();
    for level in 1..12 {
        let alias = format!("*a{}", level - 1);
        bomb.push_str(&format!("a{level}: &a{level} [{}]\n", vec![alias; 10].join(",")));
    }
    let excessive = "yaml: document contains excessive aliasing";
    check(&bomb, excessive);
    check(&format!("a: &a\n{}", "- x\n".repeat(60_000)), excessive);
    check(&format!("a: &a [1, 2]\nb:\n{}", "- *a\n".repeat(60_000)), excessive);
    check(&"- ".repeat(10_001), "yaml: exceeded max depth of 10000");
    check(&"[".repeat(100_000), "yaml: exceeded max depth of 10000");
    check("a: [", "yaml: line 1: did not find expected node content");
    check("a: [b,\n", "yaml: line 1: did not find expected node content");
    check("a: [b", "yaml: line 1: did not find expected ',' or ']'");
    check("c: d\na: {b: c\n", "yaml: line 2: did not find expected ',' or '}'");
    check("a: ]", "yaml: did not find expected node content");
    check("b: c\na: ]", "yaml: line 1: did not find expected node content");
    check("a: 'x", "yaml: found unexpected end of stream");
    check("a: 'x\n", "yaml: line 2: found unexpected end of stream");
    check("a: b: c", "yaml: mapping values are not allowed in this context");
    check("a: b\n c: d", "yaml: line 2: mapping values are not allowed in this context");
    check("- a\nb: c", "yaml: line 1: did not find expected '-' indicator");
    check("a: &x *x", "yaml: did not find expected key");
    check("a: \"\\q\"", "yaml: found unknown escape character");
    check("a: @b", "yaml: found character that cannot start any token");
    check("a:\n  b: @b", "yaml: line 2: found character that cannot start any token");
    check("a: *b", "yaml: unknown anchor 'b' referenced");
    check("c: [\"\u{fc}\", *b-1]", "yaml: unknown anchor 'b-1' referenced");
    check("a: &a\n  b: *a", "yaml: anchor 'a' value contains itself");
    check("<<: 3", "yaml: map merge requires map or sequence of maps as the value");
    check(
        "? [a, 1, {b: ~}]\n: b",
        r#"yaml: invalid map key: []interface {}{"a", 1, map[interface {}]interface {}{"b":interface {}(nil)}}"#,
    );
    check("? {a: true}\n: b", r#"yaml: invalid map key: map[interface {}]interface {}{"a":true}"#);
    check("a: .inf", "json: unsupported value: .inf");
}

/// A document that began with a tab was taken, and of others the words were those of this library.
#[test]
fn a_tab_is_no_indentation() {
    #[track_caller]
    fn check(text: &str, line: &str) {
        let error = decode(text.as_bytes(), None, FieldValidation::Warn).unwrap_err().to_string();
        assert_eq!(error, format!("yaml: {line}found character that cannot start any token"), "{text}");
    }
    check("\ta: b\n", "");
    check("\t", "");
    check("\u{feff} \ta: b\n", "");
    check("# Nothing.\n\n \ta: b\n", "line 3: ");
    check("a:\n\tb: c", "line 2: ");
    for taken in ["a:\tb", "a: b\t\n", "a: [\tb]", "# \t\na: b", "a: b # \t"] {
        assert!(decode(taken.as_bytes(), None, FieldValidation::Strict).is_ok(), "{taken}");
    }
}

/// Only the first of them was named.
#[test]
fn all_keys_that_come_twice_are_named_with_the_lines_of_their_values() {
    #[track_caller]
    fn check(text: &str, want: &[&str]) {
        let decoded = decode(text.as_bytes(), None, FieldValidation::Strict).unwrap();
        let want = format!("yaml: unmarshal errors:\n  {}", want.join("\n  "));
        assert_eq!(decoded.complaints(), [want], "{text}");
    }
    check(
        "data:\n  a: 1\n  a: 2\n  a: 3\n  b: 1\n  b: 2\n",
        &[
            "line 3: key \"a\" already set in map",
            "line 4: key \"a\" already set in map",
            "line 6: key \"b\" already set in map",
        ],
    );
    check(
        "a: 1\nb: [{c: 1, c: 2}]\na:\n  d: 1\n  d: 2\n",
        &[
            "line 2: key \"c\" already set in map",
            "line 5: key \"d\" already set in map",
            "line 4: key \"a\" already set in map",
        ],
    );
    check("true: 1\n\"true\": 2\ntrue: 3", &["line 3: key true already set in map"]);
    check("1: a\n1: b", &["line 2: key 1 already set in map"]);
    let many = "a: 1\n".repeat(3_000);
    let complaints = decode(many.as_bytes(), None, FieldValidation::Warn).unwrap().complaints();
    assert_eq!(complaints[0].lines().count(), 1 + 1_000);
}

/// Of these, only a hundred levels were read; and some of what comes with depth was work by its square.
#[test]
fn deep_documents_are_read_on_any_thread() {
    let levels = 10_000;
    let wide = "1,".repeat(200_000);
    let documents = [
        format!("{}x", "- ".repeat(levels)),
        format!("{}{}", "[".repeat(levels), "]".repeat(levels)),
        format!("{}1{}", "{a: ".repeat(levels), "}".repeat(levels)),
        format!("{}{wide}{}", "[".repeat(levels), "]".repeat(levels)),
        format!("a: &a {}{}\nb: *a", "[".repeat(levels - 1), "]".repeat(levels - 1)),
    ];
    let read = move || {
        for document in documents {
            assert!(may_be_deeper_than(document.as_bytes(), levels - 1));
            let value = decode(document.as_bytes(), None, FieldValidation::Strict).unwrap().value;
            assert!(value.is_deeper_than(levels - 1) && !value.is_deeper_than(levels), "{}", &document[..20]);
        }
    };
    std::thread::Builder::new().stack_size(512 * 1024).spawn(read).unwrap().join().unwrap();
    let manifest = "spec:\n  template:\n    - name: a\n      args: [\"a\", {b: c}]\n      # - - - - -\n";
    assert!(!may_be_deeper_than(manifest.repeat(40).as_bytes(), 200));
}

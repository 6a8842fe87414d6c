use std::cell::Cell;

use super::{ColumnPath, JsonPath};
use crate::{
    codec::{FieldValidation, json},
    resource::RowContext,
    value::Value,
};

fn value(text: &str) -> Value {
    json::decode(text.as_bytes(), None, FieldValidation::Strict).unwrap().value
}

const STORE: &str = r#"{"name": "jsonpath", "n": [0, 1, 2, 3], "books": [
    {"category": "reference", "author": "Nigel Rees", "title": "Sayings of the Centurey", "price": 8.95},
    {"category": "fiction", "author": "Evelyn Waugh", "title": "Sword of Honour", "price": 12.99}],
    "labels": {"engieer": 10, "web.html": 15, "k8s-app": 20}, "empty": [],
    "users": [{"name": "a", "level": 1, "on": true}, {"name": "b", "level": 3}]}"#;

thread_local! {
    /// How many values were made or pointed at as the children of others, on this thread.
    static CHILDREN: Cell<usize> = const { Cell::new(0) };
}

pub(super) fn count_children(count: usize) {
    CHILDREN.set(CHILDREN.get() + count);
}

/// Each byte of a text became a value before anybody asked whether there was room for so many: a printer column `..x` made
/// 32 MB of a text of 1 MB, for each row.
#[test]
fn the_bytes_of_a_text_are_not_made_where_they_are_too_many_or_not_wanted() {
    let object = Value::object_of([
        ("text", Value::from("x".repeat(1 << 20))),
        ("n", value(&format!("[{}0]", "0,".repeat(200_000)))),
    ]);
    let too_much = Err("template finds too much".to_owned());
    for (template, want) in [
        ("{..text}", Ok(1)),
        ("{.text.*}", too_much.clone()),
        ("{.n.*}", too_much.clone()),
        ("{.n[*]}", too_much.clone()),
        ("{.n[:]['a','b']}", too_much),
        ("{.n[7]}", Ok(1)),
        ("{.n[::100000]}", Ok(3)),
    ] {
        CHILDREN.set(0);
        let path = JsonPath::parse(template, false).expect(template);
        let found = path.find(&object).map(|found| found.iter().map(Vec::len).sum::<usize>());
        assert_eq!(found.map_err(|error| error.to_string()), want, "{template}");
        // The fields of the object; and the list's items, which point at what is there.
        let most = if template == "{..text}" { 200_010 } else { 10 };
        assert!(CHILDREN.get() < most, "{template}: {}", CHILDREN.get());
    }
}

/// All that a template finds, part by part.
fn find(template: &str) -> Result<String, String> {
    let path = JsonPath::parse(template, false).map_err(|error| error.to_string())?;
    let store = value(STORE);
    let found = path.find(&store).map_err(|error| error.to_string())?;
    let show = |value: &Value| match value {
        Value::String(text) => text.to_string(),
        other => String::from_utf8_lossy(&json::encode(other, None)).into_owned(),
    };
    Ok(found.iter().map(|part| part.iter().map(|v| show(v)).collect::<Vec<_>>().join(" ")).collect())
}

#[track_caller]
fn check(template: &str, want: &str) {
    assert_eq!(find(template), Ok(want.to_owned()), "{template}");
}

#[test]
fn templates_find_what_they_say() {
    check("hello {.name}!", "hello jsonpath!");
    check("{$.name}{@.name}", "jsonpathjsonpath");
    check("{.n[1:3]}", "1 2");
    check("{.n[-1]} {.n[-2]} {.n[-3:]}", "3 2 1 2 3");
    check("{.n[0:4:2]}", "0 2");
    check("{.n[*]}", "0 1 2 3");
    check("{.n[0,3]}", "0 3");
    check("{.n[1:1]}", "");
    check("{.books[*].author}", "Nigel Rees Evelyn Waugh");
    check("{.books[0].*}", "Nigel Rees reference 8.95 Sayings of the Centurey");
    check("{..author}", "Nigel Rees Evelyn Waugh");
    check(r"{.labels.web\.html}", "15");
    check(r"{.labels['web\.html']}", "15");
    check("{.labels.k8s-app}", "20");
    check("{.labels['engieer']}", "10");
    check("{.books[?(@.price > 10.0)].title}", "Sword of Honour");
    check(r#"{.books[?(@.category=="fiction")].author}"#, "Evelyn Waugh");
    check("{.users[?(@.on)].name}", "a");
    check("{.users[?(@.level<=1)].name}", "a");
    check("{.users[?(@.level!=1)].name}", "b");
    check("{range .users[*]}{.name}={.level};{end}", "a=1;b=3;");
    check("{range .empty[*]}x{end}{.name}", "jsonpath");
    check(r#"{"a\tb"}{'it\'s'}{1.5}{true}"#, "a\tbit's1.5true");
    check("", "");
}

#[test]
fn templates_that_mean_nothing_are_refused() {
    for (template, want) in [
        ("{.hello", "unclosed action"),
        ("{[0}", "unterminated array"),
        ("{[?(@.a}", "unterminated filter"),
        ("{[?(@.a)}", "unclosed array expect ]"),
        ("{'a}", "unterminated quoted string"),
        ("{....a}", "invalid multiple recursive descent"),
        ("{.n[a]}", "invalid array index a"),
        ("{.n[-]}", "array index - is not a number"),
        ("{+-}", "cannot parse number +"),
        ("{&}", "unrecognized character in action: U+0026 '&'"),
        ("{hello}", "unrecognized identifier hello"),
        ("{end}", "not in range, nothing to end"),
        ("{.nothing}", "nothing is not found"),
        // A range over nothing is passed once, with nothing.
        ("{range .empty[*]}{.name}{end}", "name is not found"),
        ("{.n[9]}", "array index out of bounds: index 9, length 4"),
        ("{.n[3:1]}", "starting index 3 is greater than ending index 1"),
        ("{.n[0:2:-1]}", "step must be > 0"),
        ("{.name[0]}", "string is not array or slice"),
        ("{.labels[?(@.a)]}", "object is not array or slice and cannot be filtered"),
        (r#"{.users[?(@.level=="1")]}"#, "incompatible types for comparison"),
        ("{.users[?(@.level=>1)]}", "unrecognized filter operator =>"),
    ] {
        assert_eq!(find(template), Err(want.to_owned()), "{template}");
    }
}

#[test]
fn what_would_find_too_much_or_goes_too_deep_ends() {
    let nested = (0..40).fold(Value::Int(1), |inner, _| Value::array([inner]));
    let doubling = JsonPath::parse(&format!("{{{}}}", "[*,*]".repeat(40)), true).unwrap();
    assert_eq!(doubling.find(&nested).unwrap_err().to_string(), "template finds too much");
    let deep = (0..100).fold("@.a".to_owned(), |inner, _| format!("@[?({inner})]"));
    assert!(find(&format!("{{{deep}}}")).is_err());
    assert_eq!(find(&"a".repeat(20_000)), Err("template is too long".to_owned()));
}

#[track_caller]
fn check_cell(path: &str, ty: &str, want: Value) {
    let object = value(
        r#"{"s": "text", "i": 5, "f": 2.5, "b": true, "o": {"a": [1]}, "null": null, "t": "2026-01-01T11:59:00Z",
            "list": [{"type": "Ready", "status": "True"}, {"type": "Other", "status": "False"}]}"#,
    );
    let cx = RowContext { now: "2026-01-01T12:00:00Z".parse().unwrap() };
    assert_eq!(ColumnPath::new(path, ty).unwrap().cell(&object, &cx), want, "{path} {ty}");
}

#[test]
fn cells_have_the_type_of_their_column() {
    check_cell(".s", "string", "text".into());
    check_cell(".i", "string", "5".into());
    check_cell(".o", "string", r#"{"a":[1]}"#.into());
    check_cell(".null", "string", "<no value>".into());
    check_cell(".nothing.at.all", "string", Value::Null);
    check_cell(".i", "integer", Value::Int(5));
    check_cell(".f", "integer", Value::Int(2));
    check_cell(".s", "integer", Value::Null);
    check_cell(".i", "number", Value::Float(5.0));
    check_cell(".b", "boolean", true.into());
    check_cell(".t", "date", "60s".into());
    check_cell(".s", "date", "<invalid>".into());
    check_cell(".i", "date", Value::Null);
    check_cell(r#".list[?(@.type=="Ready")].status"#, "string", "True".into());
    check_cell(".list[*].type", "string", "Ready".into());
    assert!(ColumnPath::new(".a[", "string").is_err());
}

proptest::proptest! {
    #[test]
    fn nothing_panics(template in r#"[{}\[\]().,:?@*$<>=!'"\\ a0-9-]{0,24}"#) {
        if let Ok(path) = JsonPath::parse(&template, true) {
            let _ = path.find(&value(STORE));
        }
    }
}

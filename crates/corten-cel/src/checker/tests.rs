//! Facts from cel-go checker/checker_test.go (v0.26.0).

use std::sync::Arc;

use crate::{Environment, Type, syntax::Source, types::TypeProvider, types::parse_type};

/// One object type.
struct Provider;

impl TypeProvider for Provider {
    fn has_type(&self, name: &str) -> bool {
        name == "example.Widget"
    }

    fn field(&self, type_name: &str, field: &str) -> Option<Type> {
        match (type_name, field) {
            ("example.Widget", "name") => Some(Type::String),
            ("example.Widget", "parts") => Some(Type::list(Type::object("example.Widget"))),
            ("example.Widget", "labels") => Some(Type::map(Type::String, Type::String)),
            _ => None,
        }
    }
}

fn environment() -> Environment {
    Environment::kubernetes()
        .types(Arc::new(Provider))
        .variable("self", Type::object("example.Widget"))
        .variable("x", Type::Dyn)
        .variable("o", Type::optional(Type::map(Type::String, Type::Int)))
}

#[track_caller]
fn check_type(expression: &str, wanted: &str) {
    match environment().compile(expression) {
        Ok(program) => assert_eq!(program.result_type().to_string(), wanted, "{expression}"),
        Err(issues) => panic!("{}", Source::new(expression).display(&issues)),
    }
}

#[track_caller]
fn check_error(expression: &str, wanted: &str) {
    let Err(issues) = environment().compile(expression) else { panic!("{expression} has no issue") };
    assert_eq!(Source::new(expression).display(&issues), wanted, "{expression}");
}

#[test]
fn types_are_deduced() {
    for (expression, wanted) in [
        ("self", "example.Widget"),
        ("self.parts.map(p, p.name)", "list(string)"),
        ("self.labels['a']", "string"),
        ("self.parts[0].parts.exists(p, p.name == 'a')", "bool"),
        ("[]", "list(dyn)"),
        ("[] + [1]", "list(int)"),
        ("{}", "map(dyn, dyn)"),
        ("{'a': [1, 2]}", "map(string, list(int))"),
        ("x.y.z", "dyn"),
        ("x == 1 ? 1 : dyn('a')", "dyn"),
        ("has(self.name) ? self.?name : optional.none()", "optional_type(string)"),
        ("o.a", "optional_type(int)"),
        ("o[?'a'].orValue(1)", "int"),
        ("o.?a.optMap(v, string(v))", "optional_type(string)"),
        ("{'a': 1}.transformMap(k, v, k + string(v))", "map(string, string)"),
        ("[1].transformList(i, v, i * v)", "list(int)"),
        ("type(1)", "type(int)"),
        ("int", "type(int)"),
        ("timestamp('2001-01-01T00:00:00Z') - duration('1h')", "timestamp"),
        ("quantity('1').add(1)", "kubernetes.Quantity"),
        ("[1, 2].min()", "int"),
        ("example.Widget{name: 'a'}.name", "string"),
    ] {
        check_type(expression, wanted);
    }
}

#[test]
fn issues_are_told_in_upstream_s_words() {
    check_error("y", "ERROR: <input>:1:1: undeclared reference to 'y' (in container '')\n | y\n | ^");
    check_error("f(1)", "ERROR: <input>:1:2: undeclared reference to 'f' (in container '')\n | f(1)\n | .^");
    check_error("self.nme", "ERROR: <input>:1:5: undefined field 'nme'\n | self.nme\n | ....^");
    check_error("'a'.b", "ERROR: <input>:1:4: type 'string' does not support field selection\n | 'a'.b\n | ...^");
    check_error(
        "1 + 'a'",
        "ERROR: <input>:1:3: found no matching overload for '_+_' applied to '(int, string)'\n | 1 + 'a'\n | ..^",
    );
    check_error(
        "'a'.startsWith(1)",
        "ERROR: <input>:1:15: found no matching overload for 'startsWith' applied to 'string.(int)'\n \
         | 'a'.startsWith(1)\n | ..............^",
    );
    check_error(
        "1.all(i, true)",
        "ERROR: <input>:1:1: expression of type 'int' cannot be range of a comprehension (must be list, map, or \
         dynamic)\n | 1.all(i, true)\n | ^",
    );
    check_error("true && 1", "ERROR: <input>:1:9: expected type 'bool' but found 'int'\n | true && 1\n | ........^");
    check_error("[1, 'a']", "ERROR: <input>:1:5: expected type 'int' but found 'string'\n | [1, 'a']\n | ....^");
    check_error(
        "{'a': 1, 2: 'b'}",
        "ERROR: <input>:1:10: expected type 'string' but found 'int'\n | {'a': 1, 2: 'b'}\n | .........^\n\
         ERROR: <input>:1:13: expected type 'int' but found 'string'\n | {'a': 1, 2: 'b'}\n | ............^",
    );
    check_error("[?1]", "ERROR: <input>:1:3: expected type 'optional_type(int)' but found 'int'\n | [?1]\n | ..^");
    check_error(
        "example.Widget{name: 1}",
        "ERROR: <input>:1:20: expected type of field 'name' is 'string' but provided type is 'int'\n \
         | example.Widget{name: 1}\n | ...................^",
    );
    check_error("int{}", "ERROR: <input>:1:4: 'int' is not a message type\n | int{}\n | ...^");
    check_error(
        "self.parts.map(p, q)",
        "ERROR: <input>:1:19: undeclared reference to 'q' (in container '')\n | self.parts.map(p, q)\n | ..................^",
    );
}

#[test]
fn constants_are_read_before_anything_is_evaluated() {
    check_error("duration('1x')", "ERROR: <input>:1:10: invalid duration argument\n | duration('1x')\n | .........^");
    check_error("timestamp('x')", "ERROR: <input>:1:11: invalid timestamp argument\n | timestamp('x')\n | ..........^");
    check_error(
        "'a'.matches('(')",
        "ERROR: <input>:1:13: invalid matches argument\n | 'a'.matches('(')\n | ............^",
    );
}

#[test]
fn types_are_written_as_they_are_read() {
    for text in ["list(map(string, dyn))", "optional_type(int)", "net.IP", "wrapper(int)", "type(list(A))"] {
        assert_eq!(parse_type(text).map(|of| of.to_string()).as_deref(), Some(text));
    }
    for text in ["", "list", "list(", "map(int)", "int(string)", &"list(".repeat(1_000)] {
        assert_eq!(parse_type(text), None, "{text}");
    }
}

#[test]
fn types_that_double_with_each_line_do_not_take_forever() {
    // The list of the list of ... is a type of 250 letters and no more work than that.
    let mut expression = "[]".to_owned();
    for _ in 0..100 {
        expression = format!("[{expression}]");
    }
    check_type(&format!("{expression} == {expression}"), "bool");
    let expression = format!("[1]{}", ".map(a, {a: a})".repeat(100));
    let Err(issues) = environment().compile(&expression) else { panic!("the type has 2^100 parts") };
    assert_eq!(issues[0].message, "the type of the expression is too large");
    let expression = format!("[[]]{}", ".map(a, {a: [a, a]})".repeat(100));
    assert!(environment().compile(&expression).is_err());
}

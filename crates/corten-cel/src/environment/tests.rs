//! Evaluation of objects, and of what was written to break it.

use std::{collections::BTreeMap, sync::Arc};

use corten_apimachinery::{
    Value as Tree,
    codec::{FieldValidation, json},
};
use proptest::prelude::*;

use crate::{
    Environment, ErrorKind, EvalError, Libraries, Type, Value,
    eval::Activation,
    limits::PER_CALL as LIMIT,
    syntax::Source,
    value::{Field, ListEquality, Shape},
};

fn tree(text: &str) -> Tree {
    json::decode(text.as_bytes(), None, FieldValidation::Strict).expect("JSON").value
}

#[track_caller]
fn eval_with(environment: &Environment, expression: &str, object: &Tree, shape: &Shape) -> Result<String, EvalError> {
    let program = match environment.compile(expression) {
        Ok(program) => program,
        Err(issues) => panic!("{}", Source::new(expression).display(&issues)),
    };
    program.eval(&[("self", Value::of_tree(object, shape))], Some(LIMIT)).map(|(value, _)| format!("{value:?}"))
}

fn dynamic() -> Environment {
    Environment::with(Libraries::kubernetes().and_bindings()).variable("self", Type::Dyn)
}

#[track_caller]
fn check(expression: &str, object: &str, wanted: &str) {
    let found = eval_with(&dynamic(), expression, &tree(object), Shape::DYNAMIC);
    assert_eq!(found.as_deref(), Ok(wanted), "{expression}");
}

#[track_caller]
fn check_error(expression: &str, object: &str, wanted: &str) {
    let found = eval_with(&dynamic(), expression, &tree(object), Shape::DYNAMIC);
    assert_eq!(found.map_err(|error| error.to_string()), Err(wanted.to_owned()), "{expression}");
}

#[test]
fn objects_are_read_where_they_are() {
    let object = r#"{"spec": {"replicas": 3, "ratio": 0.5, "list": [1, 2, 3], "name": "a", "none": null, "on": true}}"#;
    check("self.spec.replicas + 1", object, "Int(4)");
    check("self.spec.ratio * 2.0", object, "Double(1.0)");
    check("self.spec.list.filter(i, i > 1).size()", object, "Int(2)");
    check("self.spec.list.map(i, i * 2) == [2, 4, 6]", object, "Bool(true)");
    check("self.spec.name.startsWith('a') && self.spec.on", object, "Bool(true)");
    check("has(self.spec.name) && !has(self.spec.other)", object, "Bool(true)");
    check("self.spec.none == null", object, "Bool(true)");
    check("self.spec.?other.orValue('b')", object, "String(\"b\")");
    check("self.spec.all(k, k.size() > 1)", object, "Bool(true)");
    check("'name' in self.spec && 2 in self.spec.list", object, "Bool(true)");
    check("self.spec.list + [4] == [1, 2, 3, 4]", object, "Bool(true)");
    check("self == self", object, "Bool(true)");
    check("self.spec.transformMap(k, v, k != 'list', v).size()", object, "Int(5)");
    check("cel.bind(l, self.spec.list, l[0] + l[2])", object, "Int(4)");
    check("cel.bind(a, [1, 2].map(x, x * 10), [5, 6].map(y, y + a[1])) == [25, 26]", object, "Bool(true)");
    check("cel.bind(a, 1 / 0, true)", object, "Bool(true)");
    check("[1, 2].map(x, [x].map(x, x + 1)[0] + x) == [3, 5]", object, "Bool(true)");
    check("optional.of([1]).optMap(l, l.map(x, x + l[0])).value() == [2]", object, "Bool(true)");
}

#[test]
fn errors_have_upstream_s_words() {
    let object = r#"{"a": {"b": 1}, "l": [1]}"#;
    check_error("self.x", object, "no such key: x");
    check_error("self.l[1]", object, "index out of bounds: 1");
    check_error("1 / (self.a.b - 1)", object, "division by zero");
    check_error("1 % (self.a.b - 1)", object, "modulus by zero");
    check_error("9223372036854775807 + self.a.b", object, "integer overflow");
    check_error("self.a + 1", object, "no such overload");
    check_error("optional.none().value()", object, "optional.none() dereference");
    check_error("{self.a.b: 1, 1: 2}", object, "failed with repeated key: 1");
    check_error(
        "timestamp('2001-01-01T00:00:00Z').getHours('0:-2147483648')",
        object,
        "unknown time zone 0:-2147483648",
    );
    check_error("self.l.map(i, i / 0)", object, "division by zero");
}

#[test]
fn a_decisive_operand_outweighs_an_error() {
    let object = r#"{"l": [0, 1, 2]}"#;
    check("self.x == 1 || true", object, "Bool(true)");
    check("true || self.x == 1", object, "Bool(true)");
    check("self.x == 1 && false", object, "Bool(false)");
    check("self.l.exists(i, 1 / i == 1)", object, "Bool(true)");
    check("self.l.all(i, 1 / i == 1)", object, "Bool(false)");
    check_error("self.l.exists(i, 1 / i == 5)", object, "division by zero");
}

#[test]
fn a_shape_says_how_text_and_numbers_are_read() {
    let field = |json: &str, shape| Field { json: json.into(), shape };
    let shape = Shape::Object(
        "example.Widget".into(),
        Arc::new(BTreeMap::from([
            ("at".into(), field("at", Shape::Timestamp)),
            ("day".into(), field("day", Shape::Timestamp)),
            ("span".into(), field("span", Shape::Duration)),
            ("data".into(), field("data", Shape::Bytes)),
            ("ratio".into(), field("ratio", Shape::Double)),
            ("__namespace__".into(), field("namespace", Shape::Dynamic)),
            ("set".into(), field("set", Shape::List(Arc::new(Shape::Dynamic), ListEquality::Set))),
            (
                "ports".into(),
                field("ports", Shape::List(Arc::new(Shape::Dynamic), ListEquality::Map(vec!["name".into()]))),
            ),
        ])),
    );
    let object = tree(
        r#"{"at": "2001-02-03T04:05:06.5+01:00", "day": "2001-02-03", "span": "1h30m", "data": "YWI=", "ratio": 1,
            "namespace": "a", "set": [1, 2], "ports": [{"name": "a", "n": 1}, {"name": "b", "n": 2}], "hidden": 1}"#,
    );
    for expression in [
        "self.at == timestamp('2001-02-03T03:05:06.5Z') && self.at.getHours() == 3 && self.at.getMilliseconds() == 500",
        "self.day == timestamp('2001-02-03T00:00:00Z')",
        "self.span == duration('5400s') && self.span.getMinutes() == 90",
        "self.data == b'ab'",
        "type(self.ratio) == double",
        "self.__namespace__ == 'a' && self.namespace == 'a' && !has(self.hidden)",
        "self.set == [2, 1] && [2, 1] == self.set && self.set != [2, 3]",
        "self.ports == [{'name': 'b', 'n': 2}, {'name': 'a', 'n': 1}]",
        "self.set + [2, 3] == [1, 2, 3] && (self.set + [2, 3]).size() == 3 && self.set + [2, 3] == [3, 2, 1]",
        "(self.ports + [{'name': 'a', 'n': 3}, {'name': 'c', 'n': 4}]).map(p, p.n).map(n, string(n)).join() == '324'",
        "self.at.getDayOfWeek('+10:00') == 6 && self.at.getHours('-04:30') == 22",
    ] {
        let found = eval_with(&dynamic(), expression, &object, &shape);
        assert_eq!(found.as_deref(), Ok("Bool(true)"), "{expression}");
    }
}

#[test]
fn what_grows_faster_than_its_cost_is_stopped() {
    let object = r#"{"l": [1, 2, 3, 4, 5, 6, 7, 8, 9, 10]}"#;
    let nested = |depth: usize, each: &str, inside: &str| {
        let mut expression = inside.replace("$", &format!("v{depth}"));
        for level in (1..=depth).rev() {
            let value = each.replace("$", &format!("v{}", level - 1));
            expression = format!("cel.bind(v{level}, {value}, {expression})");
        }
        format!("cel.bind(v0, self.l, {expression})")
    };
    // Lists that double with each line, for a unit each.
    let error = eval_with(&dynamic(), &nested(60, "$ + $", "$.size()"), &tree(object), Shape::DYNAMIC);
    assert_eq!(error.map_err(|error| error.kind), Err(ErrorKind::TooLarge));
    // Trees that double with each line, and are compared.
    let error = eval_with(&dynamic(), &nested(60, "[$, $]", "$ == $"), &tree(object), Shape::DYNAMIC);
    assert_eq!(error.map_err(|error| error.kind), Err(ErrorKind::TooLarge));
    let error = eval_with(&dynamic(), &nested(60, "[$, $]", "[$].indexOf(dyn(1))"), &tree(object), Shape::DYNAMIC);
    assert_eq!(error.map_err(|error| error.kind), Err(ErrorKind::CostLimit));
    let error = eval_with(&dynamic(), &nested(60, "[$, $]", "'%s'.format([$])"), &tree(object), Shape::DYNAMIC);
    assert_eq!(error.map_err(|error| error.kind), Err(ErrorKind::TooLarge));
    // Long texts that one unit is paid for, again and again.
    let long = "cel.bind(s, 'x'.replace('x', '0123456789').replace('', '0123456789'.replace('', '0123456789')), $)";
    let long = long.replace('$', "cel.bind(t, s.replace('', s), self.l.map(a, self.l.map(b, self.l.map(c, $))))");
    for each in ["t.size()", "t.charAt(t.size() - 1)", "t in [t + '']", "'%s'.format([t]) == ''", "t.replace('', 'y')"]
    {
        let _ = eval_with(&dynamic(), &long.replace('$', each), &tree(object), Shape::DYNAMIC);
    }
    // Loops in loops.
    let loops = "self.l.all(a, ".repeat(12) + "true" + &")".repeat(12);
    let error = eval_with(&dynamic(), &loops, &tree(object), Shape::DYNAMIC);
    assert_eq!(error.map_err(|error| error.kind), Err(ErrorKind::CostLimit));
}

#[test]
fn a_list_that_a_loop_makes_costs_what_is_added() {
    let object = Tree::object_of([("l", Tree::array((0..20_000).map(Tree::Int)))]);
    for expression in [
        "self.l.map(i, i + 1).size()",
        "self.l.filter(i, i >= 0).size()",
        "self.l.transformMap(i, v, v).size()",
        "self.l.transformMapEntry(i, v, {v: i}).size()",
    ] {
        let found = eval_with(&dynamic(), expression, &object, Shape::DYNAMIC);
        assert_eq!(found.as_deref(), Ok("Int(20000)"), "{expression}");
    }
}

#[test]
fn the_deepest_expressions_fit_the_stack_of_a_thread() {
    let object = tree("{}");
    for expression in [
        format!("{}self{}", "[".repeat(240), "]".repeat(240)),
        format!("{}1{}", "(1 + ".repeat(110), ")".repeat(110)),
        format!("{}true{}", "[1].all(x, ".repeat(120), ")".repeat(120)),
        format!("1{}", " + 1".repeat(240)),
        format!("self{}", "[?'a']".repeat(120)),
        format!("{}1{}", "{'a': ".repeat(240), "}".repeat(240)),
        format!("{}1", "true ? 1 : ".repeat(240)),
        format!("{}true{}", "!(true == ".repeat(60), ")".repeat(60)),
        format!("{}1{}", "[1].map(x, [1 + (true ? ".repeat(30), " : 1)][0]).size()".repeat(30)),
    ] {
        let program = dynamic().compile(&expression);
        let Ok(program) = program else { panic!("{expression}") };
        let _ = program.estimate(&crate::cost::UnknownSizes);
        // The value does not matter here, nor whether there is one.
        let _ = program.eval(&[("self", Value::of_dynamic(&object))], Some(LIMIT));
    }
}

proptest! {
    #[test]
    fn whatever_can_be_compiled_can_be_evaluated(
        pieces in prop::collection::vec(
            prop::sample::select(vec![
                "self", "x", "1", "0", "1u", "-1", "1.5", "'a'", "b'a'", "null", "true", "[", "]", "{", "}", "(", ")", ",",
                ":", "?", " + ", " - ", " * ", " / ", " % ", " == ", " < ", " && ", " || ", " in ", "!", ".a", ".?a", "[0]",
                "[?0]", ".size()", "has(self.a)", ".all(x, ", ".map(x, ", ".filter(x, ", ".exists_one(x, ", "int(", "string(",
                "duration('1s')", "timestamp('2001-01-01T00:00:00Z')", ".optMap(x, ", "optional.of(", ".orValue(", "type(",
                ".transformMap(k, v, ", "dyn(", ".sum()", ".min()", ".format(", ".split(''", ".replace('', ", ".indexOf(",
                "ip('::1')", "quantity('1')", ".matches(", "sets.contains(",
            ]),
            1..12,
        ),
    ) {
        let text = pieces.concat();
        let object = tree(r#"{"a": [1, "b", {"c": 2.5}, null], "l": [1, 2]}"#);
        for environment in [dynamic(), dynamic().unchecked()] {
            if let Ok(program) = environment.compile(&text) {
                let _ = program.estimate(&crate::cost::UnknownSizes);
                let _ = program.eval(&[("self", Value::of_dynamic(&object))], Some(LIMIT));
            }
        }
    }

    #[test]
    fn patterns_never_panic(pattern in "[\\\\\\[\\](){}*+?|^$.,:<>&~a-dA-Z0-9-]{0,16}") {
        let _ = crate::library::Patterns::default().compiled(&pattern);
    }
}

#[test]
fn a_variable_may_fail_and_be_absent() {
    struct Failing;
    impl<'a> Activation<'a> for Failing {
        fn variable(&self, name: &str) -> Option<Result<Value<'a>, EvalError>> {
            (name == "self").then(|| Err(EvalError::failed("cannot be read")))
        }
    }
    let environment = dynamic().variable("other", Type::Int);
    let eval = |text| {
        environment.compile(text).expect("a program").eval(&Failing, None).map(|_| ()).map_err(|e| e.to_string())
    };
    assert_eq!(eval("self"), Err("cannot be read".to_owned()));
    assert_eq!(eval("other"), Err("no such attribute(s): other".to_owned()));
}

#[test]
fn programs_can_be_shared_between_threads() {
    fn shared<T: Send + Sync>(_: &T) {}
    shared(&dynamic().compile("1").expect("a program"));
}

/// Each literal pattern had a limit of its own and was compiled twice: 10 KiB of text became hundreds of megabytes.
#[test]
fn the_patterns_of_an_expression_share_one_limit() {
    let terms = |count: usize, pattern: &dyn Fn(usize) -> String| {
        let terms: Vec<String> = (0..count).map(|number| format!(r#""".matches("{}")"#, pattern(number))).collect();
        Environment::kubernetes().compile(&terms.join(" || "))
    };
    // The same one again takes nothing.
    assert!(terms(300, &|_| ".{0,700}".to_owned()).is_ok());
    assert!(terms(100, &|number| format!("^[a-z]+-{number}$")).is_ok());
    let issues = terms(300, &|number| format!(".{{0,{}}}", 600 + number)).expect_err("too much");
    assert_eq!(issues[0].message, "invalid matches argument");
    assert!(issues.len() > 90, "{}", issues.len());
    let found = Environment::with(Libraries::kubernetes())
        .compile(r#""".find("((a{0,99}){0,99})") == """#)
        .expect_err("a product");
    assert_eq!(found[0].message, "error parsing regexp: invalid repeat count: `{0,99}`");
}

//! Facts from upstream's tests of costs: cel-go checker/cost_test.go and interpreter/runtimecost_test.go (v0.26.0),
//! k8s.io/apiserver/pkg/cel/library/cost_test.go (v1.35).

use super::{CostRange, SizeEstimator, SizeRange, actual::smaller};
use crate::{Environment, Type, Value, environment::Program, syntax::Source, types::parse_type};

/// Sizes by path.
struct Hints<'h>(&'h [(&'h str, u64)]);

impl SizeEstimator for Hints<'_> {
    fn size(&self, path: Option<&[String]>, of: &Type) -> Option<SizeRange> {
        let path = path.map(|path| path.join(".")).unwrap_or_default();
        match self.0.iter().find(|(known, _)| *known == path) {
            Some((_, max)) => Some(SizeRange { min: 0, max: *max }),
            // As upstream's test has it for elements of literal lists.
            None if path.is_empty() && self.0.is_empty() && matches!(of, Type::String | Type::Bytes) => {
                Some(SizeRange { min: 0, max: 12 })
            }
            None => None,
        }
    }
}

#[track_caller]
fn program(expression: &str, variables: &[(&str, &str)], folding: bool) -> Program {
    let mut environment = Environment::with(crate::Libraries::kubernetes());
    if !folding {
        environment = environment.without_folding();
    }
    for (name, of) in variables {
        environment = environment.variable(name, parse_type(of).expect("a type"));
    }
    match environment.compile(expression) {
        Ok(program) => program,
        Err(issues) => panic!("{}", Source::new(expression).display(&issues)),
    }
}

#[track_caller]
fn check_estimate(expression: &str, variables: &[(&str, &str)], hints: &[(&str, u64)], min: u64, max: u64) {
    let program = program(expression, variables, false);
    assert_eq!(program.estimate(&Hints(hints)), CostRange { min, max }, "{expression}");
}

#[track_caller]
fn check_actual<'a>(
    expression: &str,
    variables: &[(&str, &str)],
    values: &[(&str, Value<'a>)],
    folding: bool,
    cost: u64,
) {
    let program = program(expression, variables, folding);
    match program.eval(&values.to_vec(), None) {
        Ok((_, found)) => assert_eq!(found, cost, "{expression}"),
        Err(error) => panic!("{expression}: {error}"),
    };
}

/// Estimated and counted, without folding.
#[track_caller]
fn check_both(expression: &str, min: u64, max: u64, actual: u64) {
    check_estimate(expression, &[], &[], min, max);
    check_actual(expression, &[], &[], false, actual);
}

#[test]
fn estimates_follow_sizes_and_paths() {
    let all = [("input", "list(dyn)")];
    check_estimate("\"Hello World!\"", &[], &[], 0, 0);
    check_estimate("input", &[("input", "list(int)")], &[], 1, 1);
    check_estimate("input['key']", &[("input", "map(string, string)")], &[], 2, 2);
    check_estimate("has(input.key)", &[("input", "map(string, string)")], &[], 1, 1);
    check_estimate("[1, 2, 3]", &[], &[], 10, 10);
    check_estimate("{\"a\": 1, \"b\": 2, \"c\": 3}", &[], &[], 30, 30);
    check_estimate("input.all(x, true)", &all, &[("input", 100)], 2, 302);
    check_estimate(
        "input.all(x, x.all(y, true))",
        &[("input", "list(list(dyn))")],
        &[("input", 50), ("input.@items", 10)],
        2,
        1752,
    );
    check_estimate("[1, 2, 3].all(x, true)", &[], &[], 20, 20);
    check_estimate("input.matches('[0-9]')", &[("input", "string")], &[("input", 500)], 3, 103);
    check_estimate("'123'.matches('[0-9]')", &[], &[], 2, 2);
    check_estimate("true || false", &[], &[], 0, 0);
    check_estimate("1 < 2", &[], &[], 1, 1);
    check_estimate("2 in [1, 2, 3]", &[], &[], 13, 13);
    check_estimate("true ? 1 : 2", &[], &[], 0, 0);
    check_estimate("size(\"123\")", &[], &[], 1, 1);
    check_estimate("string(input)", &[("input", "bytes")], &[("input", 500)], 1, 51);
    check_estimate("bytes(input)", &[("input", "string")], &[("input", 500)], 1, 51);
    let two = [("input", "string"), ("arg1", "string")];
    check_estimate("input.contains(arg1)", &two, &[("input", 500), ("arg1", 500)], 2, 2502);
    check_estimate("input.startsWith(arg1)", &two, &[("arg1", 500)], 2, 52);
    check_estimate("input.size()", &two, &[], 2, 2);
    check_estimate(
        "input.all(k, k.contains(k))",
        &[("input", "map(string, map(string, dyn))")],
        &[("input", 5), ("input.@keys", 10)],
        2,
        32,
    );
    check_estimate(
        "input.all(k, input[k].all(x, true))",
        &[("input", "map(string, map(string, dyn))")],
        &[("input", 5), ("input.@values", 10)],
        2,
        187,
    );
    check_estimate(
        "input.all(k, input[k].all(k, true) && k.contains(k))",
        &[("input", "map(string, map(string, dyn))")],
        &[("input", 2), ("input.@values", 2), ("input.@keys", 5)],
        2,
        34,
    );
    check_estimate(
        "(list1 + list2).all(x, true)",
        &[("list1", "list(int)"), ("list2", "list(int)")],
        &[("list1", 10), ("list2", 10)],
        4,
        64,
    );
    check_estimate(
        "\"abcdefg\".contains(str1 + str2)",
        &[("str1", "string"), ("str2", "string")],
        &[("str1", 10), ("str2", 10)],
        2,
        6,
    );
}

#[test]
fn what_is_counted_is_what_upstream_counts() {
    let ints = || Value::list(vec![Value::Int(1), Value::Int(2)]);
    let long = || Value::string("x".repeat(500));
    let none = || Value::list(Vec::new());
    let no_map = || Value::of_dynamic(Box::leak(Box::new(corten_apimachinery::Value::object())));
    let check = |expression: &str, variables: &[(&str, &str)], values: &[(&str, Value<'_>)], cost| {
        check_actual(expression, variables, values, false, cost);
    };
    check("\"Hello World!\"", &[], &[], 0);
    check("input", &[("input", "list(int)")], &[("input", ints())], 1);
    check("input[0]", &[("input", "list(int)")], &[("input", ints())], 2);
    check("input[3-3]", &[("input", "list(int)")], &[("input", ints())], 3);
    check("has(input.a)", &[("input", "map(string, dyn)")], &[("input", no_map())], 1);
    check("input.all(x, true)", &[("input", "list(int)")], &[("input", none())], 2);
    check("[1, 2, 3].all(x, true)", &[], &[], 20);
    check("input.matches('[0-9]')", &[("input", "string")], &[("input", long())], 103);
    check("'123'.matches('[0-9]')", &[], &[], 2);
    check("false || false", &[], &[], 0);
    let bools = [("a", "bool"), ("b", "bool"), ("c", "bool"), ("d", "bool")];
    let values = |truth| ["a", "b", "c", "d"].map(|name| (name, Value::Bool(truth)));
    check("a || b || c || d", &bools, &values(false), 4);
    check("a && b && c && d", &bools, &values(true), 4);
    check("2 in [1, 2, 3]", &[], &[], 13);
    check("true ? 1 : 2", &[], &[], 0);
    check("false ? false : 1 > 3", &[], &[], 1);
    check("'12345678901234567890' == '123456789012345678901234567890'", &[], &[], 2);
    check("bytes(input)", &[("input", "string")], &[("input", long())], 51);
    let two = [("input", "string"), ("arg1", "string")];
    check("input.contains(arg1)", &two, &[("input", long()), ("arg1", long())], 2502);
    check("input.startsWith(arg1)", &two, &[("input", Value::string("idc")), ("arg1", long())], 3);
    check("input.endsWith(arg1)", &two, &[("input", Value::string("idc")), ("arg1", long())], 3);
    let one = || Value::list(vec![Value::Null]);
    let lists = [("x", "int"), ("input1", "list(dyn)"), ("input2", "list(dyn)")];
    let values = [("x", Value::Int(1)), ("input1", one()), ("input2", one())];
    check("(x > 2 ? input1 : input2).all(y, true)", &lists, &values, 6);
    let texts = [("str1", "string"), ("str2", "string")];
    let values = [("str1", Value::string("val1")), ("str2", Value::string("val2222222"))];
    check("\"abcdefg\".contains(str1 + str2)", &texts, &values, 6);
    check("(1 > 2 ? 5 : 3) > 1", &[], &[], 2);
    check("(1 > 2 || 2 > 1) == true", &[], &[], 3);
    check("[{'k1': 1}, {'k2': 2}].all(x, true)", &[], &[], 77);
}

#[test]
fn an_index_that_is_a_name_costs_nothing_more_than_the_index() {
    let map = corten_apimachinery::Value::object_of([(
        "val",
        corten_apimachinery::Value::object_of([("number", 1_i64)].map(|(key, value)| (key, value.into()))),
    )]);
    let input = Value::of_dynamic(&map);
    let variables = [("input", "map(string, map(string, int))")];
    check_actual("input.all(k, input[k].number > 3)", &variables, &[("input", input)], false, 9);
}

#[test]
fn what_is_constant_costs_nothing_once_it_is_folded() {
    for (expression, cost) in [
        ("[1, 2, 3]", 0),
        ("{'a': [1]}", 0),
        ("duration('1s')", 0),
        ("2 in [1, 2, 3]", 0),
        ("'a' in ['b', string(1)]", 0),
        ("[1, 2, 3].all(x, true)", 10),
    ] {
        check_actual(expression, &[], &[], true, cost);
    }
}

#[test]
fn evaluation_ends_where_its_cost_is_over_the_limit() {
    let variables = [("str1", "string"), ("str2", "string")];
    let program = program("\"abcdefg\".contains(str1 + str2)", &variables, true);
    let values = [("str1", Value::string("val1")), ("str2", Value::string("val2222222"))];
    assert_eq!(program.eval(&values, Some(6)).map(|(_, cost)| cost), Ok(6));
    let error = program.eval(&values, Some(5)).map(|_| ()).expect_err("over the limit");
    assert_eq!(error.to_string(), "operation cancelled: actual cost limit exceeded");
    assert_eq!(error.kind, crate::ErrorKind::CostLimit);
}

const INTS: &str = "[1, 2, 3, 4, 5]";
const UINTS: &str = "[uint(1), uint(2), uint(3), uint(4), uint(5)]";
const TEXTS: &str = "['012345678901', '012345678901', '012345678901', '012345678901', '012345678901']";
const BYTES: &str = "[bytes('012345678901'), bytes('012345678901'), bytes('012345678901'), bytes('012345678901'), \
                     bytes('012345678901')]";

#[test]
fn lists_cost_a_traversal() {
    check_both(&format!("{INTS}.sum()"), 15, 15, 15);
    check_both(&format!("{UINTS}.sum()"), 20, 20, 20);
    for function in ["isSorted", "max", "min"] {
        check_both(&format!("{INTS}.{function}()"), 15, 15, 15);
        check_both(&format!("{UINTS}.{function}()"), 20, 20, 20);
        check_both(&format!("{TEXTS}.{function}()"), 15, 25, 15);
        check_both(&format!("{BYTES}.{function}()"), 25, 35, 25);
    }
    for function in ["indexOf", "lastIndexOf"] {
        check_both(&format!("{INTS}.{function}(3)"), 15, 15, 15);
        check_both(&format!("{UINTS}.{function}(uint(3))"), 21, 21, 21);
        check_both(&format!("{TEXTS}.{function}('x')"), 15, 25, 15);
        check_both(&format!("{BYTES}.{function}(bytes('x'))"), 26, 36, 26);
        check_both(&format!("'01234567890123456789012345678901234567890123456789'.{function}('123')"), 5, 5, 5);
    }
}

#[test]
fn libraries_cost_what_upstream_says() {
    for (expression, min, max, actual) in [
        ("url('https:://kubernetes.io/').getScheme()", 4, 4, 4),
        ("url('https:://kubernetes.io/').getQuery()", 4, 4, 4),
        ("url('https:://kubernetes.io/') == url('https:://kubernetes.io/')", 7, 9, 7),
        ("url('https:://kubernetes.io/') == url('http://x.b')", 5, 5, 5),
        ("ip('192.168.0.1')", 2, 2, 2),
        ("ip('2001:db8:3333:4444:5555:6666:7777:8888')", 4, 4, 4),
        ("ip('192.168.0.1').isGlobalUnicast()", 3, 3, 3),
        ("ip('2001:db8:3333:4444:5555:6666:7777:8888') == ip('192.168.0.1')", 7, 7, 7),
        ("ip.isCanonical('192.168.0.1')", 3, 3, 3),
        ("ip.isCanonical('2001:db8:3333:4444:5555:6666:7777:8888')", 8, 8, 8),
        ("cidr('192.168.0.0/16')", 2, 2, 2),
        ("cidr('192.168.0.0/16').masked()", 3, 3, 3),
        ("cidr('192.168.0.0/16').ip()", 3, 3, 3),
        ("cidr('192.168.0.0/16') == cidr('2001:db8::/32')", 5, 5, 5),
        ("cidr('192.168.0.0/16').containsCIDR(cidr('192.0.0.0/30'))", 7, 11, 7),
        ("cidr('192.168.0.0/16').containsCIDR('192.0.0.0/30')", 7, 11, 7),
        ("cidr('192.168.0.0/16').containsIP(ip('192.0.0.1'))", 4, 7, 4),
        ("cidr('192.168.0.0/16').containsIP('192.169.0.1')", 5, 8, 5),
        ("cidr('2001:db8::/32').containsIP('2001:db8:3333:4444:5555:6666:7777:8888')", 7, 10, 7),
        ("'ABCDEFGHIJ abcdefghij'.lowerAscii()", 3, 3, 3),
        ("'ABCDEFGHIJ abcdefghij'.lowerAscii() == 'abcdefghij ABCDEFGHIJ'.lowerAscii()", 7, 9, 9),
        ("strings.quote('ABCDEFGHIJ abcdefghij')", 3, 3, 3),
        ("strings.quote('ABCDEFGHIJ abcdefghij') == strings.quote('ABCDEFGHIJ abcdefghij')", 7, 11, 9),
        ("'abc 123 def 123'.replace('123', '456')", 3, 3, 3),
        ("'abc 123 def 123'.replace('', 'x')", 3, 3, 3),
        ("'abc 123 def 123'.split(' ', 1)", 3, 3, 3),
        ("'abc 123 def 123'.substring(5)", 2, 2, 2),
        ("'  abc 123 def 123  '.trim()", 2, 2, 2),
        ("['aa', 'bb', 'cc', 'd', 'e', 'f', 'g', 'h', 'i', 'j'].join(' ')", 11, 23, 15),
        ("['aa', 'bb', 'cc', 'd', 'e', 'f', 'g', 'h', 'i', 'j'].join()", 10, 22, 13),
        ("'abc 123 def 123'.find('123')", 2, 2, 2),
        ("'abc 123 def 123'.findAll('123', 1)", 2, 2, 2),
        ("quantity(\"12Mi\")", 1, 1, 1),
        ("quantity(\"200M\") == quantity(\"200M\")", 3, 3, 3),
        ("quantity(\"200M\") == quantity(\"0.2G\") && quantity(\"0.2G\") == quantity(\"200M\")", 3, 6, 6),
        ("quantity(\"50k\").add(quantity(\"20\")) == quantity(\"50.02k\")", 5, 5, 5),
        ("quantity(\"50k\").add(20).sub(quantity(\"100k\")).sub(-50000).asInteger() > 0", 7, 7, 7),
        ("quantity(\"50.703k\").asApproximateFloat() > 0.0", 3, 3, 3),
        ("format.named(\"dns1123subdomain\")", 1, 1, 1),
        ("format.named(\"dns1123Subdomain\").value().validate(\"my-name\")", 34, 34, 17),
        ("format.named(\"dns1123Label\").value().validate(\"my-name\")", 34, 34, 10),
        ("format.named(\"dns1123Label\").value() == format.named(\"dns1123Label\").value()", 5, 11, 5),
        ("semver(\"1.0.0\")", 1, 1, 1),
        ("semver(\"1234.56789012345.67890123456789\")", 4, 4, 4),
        ("isSemver(\"1234.56789012345.67890123456789\")", 4, 4, 4),
        ("semver(\"1.2.3\").major()", 2, 2, 2),
        ("semver(\"1.0.0\").compareTo(semver(\"1.2.3\"))", 3, 3, 3),
    ] {
        check_both(expression, min, max, actual);
    }
}

#[test]
fn sets_cost_the_product_of_their_sizes() {
    for (expression, cost) in [
        ("sets.contains([], [])", 21),
        ("sets.contains([1], [1, 1])", 23),
        ("sets.contains([1, 2, 3, 4], [2, 3])", 29),
        ("sets.contains([[1], [2, 3]], [[2, 3.0]])", 53),
        ("!sets.contains([1], [\"1\", 1])", 24),
        ("sets.equivalent([], [])", 21),
        ("sets.equivalent([1, 2, 3], [3u, 2.0, 1])", 39),
        ("sets.equivalent([[1.0], [2, 3]], [[1], [2, 3.0]])", 69),
        ("!sets.equivalent([1, 2], [2u, 2, 2.0])", 34),
        ("sets.intersects([1, 2], [2u, 2, 2.0])", 27),
        ("!sets.intersects([1], [\"1\", 2])", 24),
    ] {
        check_both(expression, cost, cost, cost);
    }
}

#[test]
fn macros_of_two_variables_cost_what_upstream_says() {
    for (expression, min, max, actual) in [
        ("{'a': 1, 'b': 2}.all(k, v, v > 0)", 37, 41, 41),
        ("{'a': 1, 'b': 2}.exists(k, v, v > 0)", 39, 43, 40),
        ("{'a': 1, 'b': 2}.existsOne(k, v, v > 0)", 38, 40, 40),
        ("{'a': 1, 'b': 2}.transformMap(k, v, v + 1)", 71, 71, 71),
        ("{'a': 1, 'b': 2}.transformMap(k, v, v < 5, v + 1)", 67, 75, 75),
        ("{'a': 1, 'b': 2}.transformMapEntry(k, v, {k: v + 1})", 131, 131, 131),
        ("{'a': 1, 'b': 2}.transformMapEntry(k, v, v < 5, {k: v + 1})", 67, 135, 135),
        ("[1, 2].all(i, v, v > 0)", 17, 21, 21),
        ("[1, 2].exists(i, v, v > 0)", 19, 23, 20),
        ("[1, 2].existsOne(i, v, v > 0)", 18, 20, 20),
        ("[1, 2].transformList(i, v, v + 1)", 49, 49, 49),
        ("[1, 2].transformList(i, v, v < 5, v + 1)", 27, 53, 53),
    ] {
        check_both(expression, min, max, actual);
    }
}

#[test]
fn the_smaller_of_two_values_is_found_without_counting_the_larger() {
    let texts = ["", "a", "\u{e9}", "\u{1f600}", "abcd", "abcde", "\u{1f600}\u{1f600}\u{1f600}", "abcdefghijklmnopq"];
    let list = |length| Value::list(vec![Value::Null; length]);
    let values: Vec<Value<'_>> = texts
        .map(Value::string)
        .into_iter()
        .chain([0, 1, 3, 5].map(list))
        .chain([Value::Null, Value::Int(9)])
        .collect();
    for a in &values {
        for b in &values {
            assert_eq!(smaller(a, b), a.size().min(b.size()), "{a:?} {b:?}");
        }
    }
}

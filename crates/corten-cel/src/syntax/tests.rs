//! Facts from cel-go parser/parser_test.go (v0.26.0).

use proptest::prelude::*;

use super::{Literal, Node, Options, Source, parse};

fn options() -> Options {
    Options { optionals: true, macros: true, two_variables: true, bindings: true, quoted_identifiers: false }
}

#[track_caller]
fn check_error(text: &str, wanted: &str) {
    let source = Source::new(text);
    let issues = parse(source, options()).expect_err(text);
    assert_eq!(source.display(&issues), wanted, "{text}");
}

#[track_caller]
fn check_literal(text: &str, wanted: &Literal) {
    let ast = match parse(Source::new(text), options()) {
        Ok(ast) => ast,
        Err(issues) => panic!("{text}: {issues:?}"),
    };
    assert_eq!(ast.node(ast.root()), &Node::Literal(wanted.clone()), "{text}");
}

#[test]
fn literals_have_their_values() {
    let string = |text: &str| Literal::String(text.into());
    for (text, wanted) in [
        ("-9223372036854775808", Literal::Int(i64::MIN)),
        ("0x2A", Literal::Int(42)),
        ("-0x2A", Literal::Int(-42)),
        ("42u", Literal::Uint(42)),
        ("0x2Au", Literal::Uint(42)),
        (".5", Literal::Double(0.5)),
        ("-1.5e-3", Literal::Double(-0.0015)),
        ("--1", Literal::Int(1)),
        ("'a\\x41\\u00e9\\101\\n'", string("aA\u{e9}A\n")),
        ("b'\\xff\\377'", Literal::Bytes([255, 255].as_slice().into())),
        ("b'\u{e9}'", Literal::Bytes("\u{e9}".as_bytes().into())),
        ("r'\\n'", string("\\n")),
        ("'''a\n'b' '''", string("a\n'b' ")),
        ("\"\"\"\"\"\"", string("")),
        ("''", string("")),
        ("null", Literal::Null),
        ("!!true", Literal::Bool(true)),
        ("// nothing\n1 // one", Literal::Int(1)),
    ] {
        check_literal(text, &wanted);
    }
}

#[test]
fn errors_name_their_place() {
    check_error(
        "object.x in [1, 2, ",
        "ERROR: <input>:1:20: Syntax error: missing ']' at '<EOF>'\n | object.x in [1, 2, \n | ...................^",
    );
    check_error("f(1", "ERROR: <input>:1:4: Syntax error: missing ')' at '<EOF>'\n | f(1\n | ...^");
    check_error("x{.", "ERROR: <input>:1:3: Syntax error: mismatched input '.' expecting IDENTIFIER\n | x{.\n | ..^");
    check_error(
        "1 + $",
        "ERROR: <input>:1:5: Syntax error: token recognition error at: '$'\n | 1 + $\n | ....^\n\
         ERROR: <input>:1:6: Syntax error: mismatched input '<EOF>' expecting {'[', '{', '(', '.', '-', '!', 'true', \
         'false', 'null', NUM_FLOAT, NUM_INT, NUM_UINT, STRING, BYTES, IDENTIFIER}\n | 1 + $\n | .....^",
    );
    check_error(
        "func(",
        "ERROR: <input>:1:6: Syntax error: mismatched input '<EOF>' expecting {'[', '{', '(', '.', '-', '!', 'true', 'false', 'null', NUM_FLOAT, NUM_INT, NUM_UINT, STRING, BYTES, IDENTIFIER}\n | func(\n | .....^",
    );
    check_error(
        "a.\n  while + while",
        "ERROR: <input>:2:11: reserved identifier: while\n |   while + while\n | ..........^",
    );
    check_error("9223372036854775808", "ERROR: <input>:1:1: invalid int literal\n | 9223372036854775808\n | ^");
    check_error("-1u8", "ERROR: <input>:1:4: Syntax error: extraneous input '8' expecting <EOF>\n | -1u8\n | ...^");
    check_error("1.99e90000009", "ERROR: <input>:1:1: invalid double literal\n | 1.99e90000009\n | ^");
    check_error("has(m)", "ERROR: <input>:1:5: invalid argument to has() macro\n | has(m)\n | ....^");
    check_error("1.all(2, 3)", "ERROR: <input>:1:7: argument must be a simple name\n | 1.all(2, 3)\n | ......^");
    check_error("a.map(1, 2)", "ERROR: <input>:1:7: argument is not an identifier\n | a.map(1, 2)\n | ......^");
    check_error(
        "[].all(__result__, true)",
        "ERROR: <input>:1:8: iteration variable overwrites accumulator variable\n | [].all(__result__, true)\n | .......^",
    );
    check_error(
        "[].all(x, x, true)",
        "ERROR: <input>:1:11: duplicate variable name: x\n | [].all(x, x, true)\n | ..........^",
    );
    check_error(
        "*@a | b",
        "ERROR: <input>:1:1: Syntax error: extraneous input '*' expecting {'[', '{', '(', '.', '-', '!', 'true', 'false', \
         'null', NUM_FLOAT, NUM_INT, NUM_UINT, STRING, BYTES, IDENTIFIER}\n | *@a | b\n | ^\n\
         ERROR: <input>:1:2: Syntax error: token recognition error at: '@'\n | *@a | b\n | .^\n\
         ERROR: <input>:1:5: Syntax error: token recognition error at: '| '\n | *@a | b\n | ....^\n\
         ERROR: <input>:1:7: Syntax error: extraneous input 'b' expecting <EOF>\n | *@a | b\n | ......^",
    );
    check_error(
        "1 == 'abc",
        "ERROR: <input>:1:6: Syntax error: token recognition error at: ''abc'\n | 1 == 'abc\n | .....^\n\
         ERROR: <input>:1:10: Syntax error: mismatched input '<EOF>' expecting {'[', '{', '(', '.', '-', '!', 'true', \
         'false', 'null', NUM_FLOAT, NUM_INT, NUM_UINT, STRING, BYTES, IDENTIFIER}\n | 1 == 'abc\n | .........^",
    );
    check_error("a.`b-c`", "ERROR: <input>:1:3: unsupported syntax: '`'\n | a.`b-c`\n | ..^");
    check_error(
        "'\u{1f431}' + break",
        "ERROR: <input>:1:7: reserved identifier: break\n | '\u{1f431}' + break\n | .\u{ff0e}....^",
    );
}

#[test]
fn quoted_identifiers_are_fields_where_they_are_on() {
    let options = Options { quoted_identifiers: true, ..options() };
    let ast = parse(Source::new("a.`b-c/d.e`"), options).expect("a field");
    assert!(matches!(ast.node(ast.root()), Node::Select { field, .. } if &**field == "b-c/d.e"));
}

#[test]
fn depth_and_length_are_limited() {
    let deep = "ERROR: <input>:-1:0: expression recursion limit exceeded: 250";
    check_error(&"[".repeat(10_000), deep);
    check_error(&"(".repeat(100_000), deep);
    check_error(&"-(".repeat(10_000), deep);
    check_error(&"{1:".repeat(10_000), deep);
    check_error(&"a ? b : ".repeat(10_000), deep);
    check_error(&format!("a{}", "+a".repeat(10_000)), deep);
    check_error(&format!("a{}", ".a".repeat(10_000)), deep);
    check_error(&format!("a{}", "[0]".repeat(10_000)), deep);
    check_error(&format!("a{}", " == a".repeat(10_000)), deep);
    check_error(
        &"a".repeat(100_001),
        "ERROR: <input>:-1:0: expression code point size exceeds limit: size: 100001, limit 100000",
    );
    // Each of these copies what stands before it.
    check_error(
        &format!("a{}", ".optMap(x, x)".repeat(100)),
        "ERROR: <input>:-1:0: expression is too large when its macros are expanded",
    );
    assert!(parse(Source::new(&format!("a{}", " || a".repeat(15_000))), options()).is_ok(), "these are balanced");
    assert!(parse(Source::new(&"!".repeat(50_000)), options()).is_err(), "these are counted without recursion");
}

proptest! {
    #[test]
    fn arbitrary_text_never_panics(text in "\\PC{0,80}") {
        let source = Source::new(&text);
        if let Err(issues) = parse(source, options()) {
            prop_assert!(!source.display(&issues).is_empty());
        }
    }

    #[test]
    fn text_of_the_language_s_pieces_never_panics(
        pieces in prop::collection::vec(
            prop::sample::select(vec![
                "a", "1", "1u", "1.5", "'a'", "b'a'", "r'\\'", "'''", "\"", "`x`", "in", "true", "null", "has(", "(", ")",
                "[", "]", "[?", "{", "}", ".", ".?", ",", "?", ":", "-", "!", "+", "*", "&&", "||", "==", "<", "all(x,",
                "map(", "optMap(x,", "cel.bind(x,", "transformMap(i,v,", "while", "\\", "\n", "//", " ", "\u{e9}",
            ]),
            0..60,
        ),
    ) {
        let text = pieces.concat();
        let source = Source::new(&text);
        if let Err(issues) = parse(source, options()) {
            prop_assert!(!source.display(&issues).is_empty());
        }
    }
}

/// For each unreadable character all text before it was gone through: seconds for an expression of 100,000.
#[test]
fn no_more_issues_are_made_than_are_told() {
    let text = "@".repeat(100_000);
    let issues = parse(Source::new(&text), options()).expect_err("nothing can be read");
    assert_eq!((issues.len(), issues.untold()), (100, 99_901));
    let shown = Source::new("@@").display(&issues);
    assert!(shown.ends_with("99901 more errors were truncated"), "{shown}");
}

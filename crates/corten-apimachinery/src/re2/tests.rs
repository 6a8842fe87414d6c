use super::compile;

#[track_caller]
fn check(pattern: &str, yes: &[&str], no: &[&str]) {
    let regex = compile(pattern).unwrap_or_else(|error| panic!("{pattern}: {error}"));
    for text in yes {
        assert!(regex.is_match(text), "{pattern} matches {text:?}");
    }
    for text in no {
        assert!(!regex.is_match(text), "{pattern} does not match {text:?}");
    }
}

#[test]
fn classes_are_those_of_ascii() {
    check(r"^\d+$", &["12"], &["\u{661}", ""]);
    check(r"^\w+$", &["a_1"], &["\u{e4}"]);
    check(r"^[\w.-]+$", &["a.b-c"], &["a b"]);
    check(r"^[^\s/]+$", &["ab"], &["a b", "a/"]);
    check(r"^[\D]+$", &["ab\u{661}"], &["1"]);
    check(r"^\S*$", &["a\u{b}"], &["a b"]);
    check(r"a\b", &["a", "a\u{e4}"], &["ab"]);
    check(r"a\Bb", &["ab"], &["a b"]);
}

#[test]
fn braces_and_brackets_are_text_where_they_mean_nothing() {
    check(r"^\${.*}$", &["${a}"], &["a"]);
    check("^{a}$", &["{a}"], &["a"]);
    check("^a{,2}$", &["a{,2}"], &["aa"]);
    check("^a{2}$", &["aa"], &["a"]);
    check("^a{1,2}?$", &["aa"], &["aaa"]);
    check("^[[]$", &["["], &["]"]);
    check("^[]a]$", &["]", "a"], &["["]);
    check("^[a&&b]$", &["&", "a"], &["&&"]);
    check("^[a~~b]$", &["~"], &["c"]);
    check("^[--/]$", &["-", ".", "/"], &["0"]);
    check("^[a-z-]$", &["-", "q"], &["A"]);
    check("^[[:alpha:]]$", &["a"], &["1"]);
    check("^[a^]$", &["^"], &["b"]);
}

#[test]
fn escapes_mean_what_they_mean_in_re2() {
    check(r"^\/\-\<\>\.$", &["/-<>."], &["/-<>a"]);
    check(r"^\Qa.b\E.$", &["a.bc"], &["aXbc"]);
    check(r"^\x41\101\x{42}$", &["AAB"], &["AB"]);
    check(r"^(?i:a)(?P<x>b)(?<y>c)$", &["Abc"], &["ABc"]);
    check(r"^(?:a|b)*?c$", &["abc"], &["d"]);
    check(r"^\*+$", &["**"], &["a"]);
}

#[test]
fn what_is_no_expression_is_refused_in_gos_form() {
    for (pattern, want) in [
        ("(", "missing closing ): `(`"),
        (")", "unexpected ): `)`"),
        ("[a", "missing closing ]: `[a`"),
        ("*", "missing argument to repetition operator: `*`"),
        ("a**", "invalid nested repetition operator: `**`"),
        ("a{1001}", "invalid repeat count: `{1001}`"),
        (r"\8", r"invalid escape sequence: `\8`"),
        (r"\Z", r"invalid escape sequence: `\Z`"),
        (r"a\", "trailing backslash at end of expression: ``"),
        ("(?=a)", "invalid or unsupported Perl syntax: `(?=`"),
        ("(?!a)", "invalid or unsupported Perl syntax: `(?!`"),
        ("(?x) a", "invalid or unsupported Perl syntax: `(?x`"),
    ] {
        assert_eq!(compile(pattern).unwrap_err(), format!("error parsing regexp: {want}"), "{pattern}");
    }
}

#[test]
fn large_and_deep_expressions_are_refused() {
    assert!(compile(&"a".repeat(100_000)).unwrap_err().ends_with("expression too large"));
    assert!(compile(&format!("{}{}", "(".repeat(10_000), ")".repeat(10_000))).is_err());
    assert!(compile("((((a{1000}){1000}){1000}){1000}){1000}").unwrap_err().ends_with("expression too large"));
}

proptest::proptest! {
    #[test]
    fn nothing_panics(pattern in r"[\\\[\]{}()*+?^$|.,:<>!=&~PQEdwsbBx0-9a-]{0,24}", text in ".{0,12}") {
        if let Ok(regex) = compile(&pattern) {
            let _ = regex.is_match(&text);
        }
    }
}

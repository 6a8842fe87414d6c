use super::{CompileError, compile, compile_sized};

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
        ("a*?*", "invalid nested repetition operator: `*?*`"),
        ("a{1001}", "invalid repeat count: `{1001}`"),
        ("a{1001}?", "invalid repeat count: `{1001}`"),
        ("a{99999999999}", "invalid repeat count: `{99999999999}`"),
        ("a{3,2}", "invalid repeat count: `{3,2}`"),
        (r"\1", r"invalid escape sequence: `\1`"),
        (r"(a)\1", r"invalid escape sequence: `\1`"),
        (r"a\E", r"invalid escape sequence: `\E`"),
        (r"\pQ", r"invalid character class range: `\pQ`"),
        (r"\x{110000}", r"invalid escape sequence: `\x{110000`"),
        ("[[:foo:]]", "invalid character class range: `[:foo:]`"),
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

/// Crate `regex` has operators in classes, properties, flags and names that Go has not, and the other way.
#[test]
fn the_grammar_is_gos() {
    // Classes: ranges, and text that would be operators.
    check("^[a&&~~|b]$", &["&", "~", "|", "a"], &["c"]);
    check("^[!--]$", &["!", "+", "-"], &["."]);
    check("^[a-c-e]$", &["b", "-", "e"], &["d"]);
    check(r"^[\d-z]$", &["5", "-", "z"], &["a"]);
    check(r"^[a-\x{7a}]$", &["q"], &["A"]);
    check(r"^[\]\-\[]$", &["]", "-", "["], &["\\"]);
    check("^[a-]$", &["a", "-"], &["b"]);
    check("^[[:^alpha:]&&x]$", &["1", "&", "x"], &["y"]);
    check("^[[:alpha]$", &["[", ":", "a"], &["z"]);
    check("^[#x y]$", &["#", " ", "y"], &["z"]);
    check(r"^[\D\d]$", &["1", "a"], &["ab"]);
    check(r"^[^\W_]$", &["a"], &["_", "-"]);
    // Unicode: names of categories and scripts, however they are written.
    check(r"^\p{Greek}\p{Lu}\pN\p{^Han}$", &["\u{3b1}A1x"], &["aA1x"]);
    check(r"^\p{uppercase letter}\p{old-italic}?[\p{Letter}\P{L}]$", &["Aa", "A1"], &["aa"]);
    check(r"^\p{Thai}|\p{Any}\p{ASCII}\p{Assigned}$", &["aaa"], &["b"]);
    check(r"^\p{Cs}?[\P{Cs}]\x{D800}?[\x{D800}-\x{E000}]$", &["a\u{e000}"], &["a", "ab"]);
    // Escapes: anything of ASCII but letters and digits.
    check(r"^\ \_\#\%\@$", &[" _#%@"], &["a"]);
    check(r"^\0\07\123\x7e\x{0000041}$", &["\0\x07S~A"], &[""]);
    check(r"^a\b{start}$", &["a{start}"], &["a"]);
    check(r"^\v\a\f$", &["\x0b\x07\x0c"], &["vaf"]);
    // Flags may be there twice, and a minus sign wins; names may begin with a digit.
    check("^(?ii)a(?i-i)a(?-i:a)(?)(?:a)$", &["Aaaa"], &["AAaa", "AaaA"]);
    check("^(?P<1a>x)(?<_b>y)$", &["xy"], &["x"]);
    for (pattern, want) in [
        ("[a--b]", "invalid character class range: `a--`"),
        ("[b-a]", "invalid character class range: `b-a`"),
        (r"[!-\d]", r"invalid escape sequence: `\d`"),
        (r"[\b]", r"invalid escape sequence: `\b`"),
        (r"[\Q]", r"invalid escape sequence: `\Q`"),
        (r"[a\", "trailing backslash at end of expression: ``"),
        ("x[]a", "missing closing ]: `[]a`"),
        (r"a\p{Script=Greek}", r"invalid character class range: `\p{Script=Greek}`"),
        (r"a\p{Grek}", r"invalid character class range: `\p{Grek}`"),
        (r"a\p{IsGreek}", r"invalid character class range: `\p{IsGreek}`"),
        (r"a[\p{Garay}]", r"invalid character class range: `\p{Garay}`"),
        (r"a\p{}", r"invalid character class range: `\p{}`"),
        (r"a\p{L", r"invalid character class range: `\p{L`"),
        (r"\p{Alphabetic}", r"invalid character class range: `\p{Alphabetic}`"),
        (r"a\p{gc=Lu}", r"invalid character class range: `\p{gc=Lu}`"),
        (r"\x{}a", r"invalid escape sequence: `\x{}`"),
        (r"\x{12g}", r"invalid escape sequence: `\x{12g`"),
        (r"\xg1a", r"invalid escape sequence: `\xg1`"),
        (r"a\x{110000}b", r"invalid escape sequence: `\x{110000`"),
        (r"\u{41}", r"invalid escape sequence: `\u`"),
        (r"a\C", r"invalid escape sequence: `\C`"),
        ("(?i-)a", "invalid or unsupported Perl syntax: `(?i-)`"),
        ("(?--i)a", "invalid or unsupported Perl syntax: `(?--`"),
        ("(?iu)a", "invalid or unsupported Perl syntax: `(?iu`"),
        ("(?R)a", "invalid or unsupported Perl syntax: `(?R`"),
        ("(?P=n)", "invalid or unsupported Perl syntax: `(?P`"),
        ("(?#a)", "invalid or unsupported Perl syntax: `(?#`"),
        ("(?<=a)", "invalid named capture: `(?<=a)`"),
        ("(?P<a", "invalid named capture: `(?P<a`"),
        ("(?P<>a)", "invalid named capture: `(?P<>`"),
        ("(?<a.b>a)", "invalid named capture: `(?<a.b>`"),
        ("a{1,1001}", "invalid repeat count: `{1,1001}`"),
    ] {
        assert_eq!(compile(pattern).unwrap_err(), format!("error parsing regexp: {want}"), "{pattern}");
    }
}

#[test]
fn large_and_deep_expressions_are_refused() {
    assert!(compile(&"a".repeat(100_000)).unwrap_err().ends_with("expression too large"));
    assert!(compile(&format!("{}{}", "(".repeat(10_000), ")".repeat(10_000))).is_err());
    assert!(compile(r"\pL{1000}").unwrap_err().ends_with(r"expression too large: `\pL{1000}`"));
}

/// Each count alone was looked at, so that a pattern of twenty characters became a megabyte.
#[test]
fn counts_within_each_other_count_together() {
    for pattern in [
        "(a{10}){100}",
        "((a{10}){10}){10}",
        "(a{31}b{32}){31}",
        "(?:a{0,1000}|b{500}){1}",
        "(a{1000}){0}",
        "a{1000}b{1000}",
        "((a{1000})*)?",
        "(a{500}){0,1}",
        "(?i)a{1000}",
    ] {
        assert!(compile(pattern).is_ok(), "{pattern}: {:?}", compile(pattern));
    }
    for (pattern, count) in [
        ("((a{0,99}){0,99})", "{0,99}"),
        ("(a{10}){101}", "{101}"),
        ("((a{10}){10}){11}", "{11}"),
        ("(a{2}b{501}c){2}?", "{2}?"),
        ("(?:a|(?P<x>b{501}))*(c(d{501})e*){2,}", "{2,}"),
        ("((a{501})+){2}", "{2}"),
    ] {
        let want = format!("error parsing regexp: invalid repeat count: `{count}`");
        assert_eq!(compile(pattern).unwrap_err(), want, "{pattern}");
    }
}

#[test]
fn braces_of_escapes_belong_to_them() {
    check(r"^\p{Greek}+$", &["\u{3b1}"], &["a", ""]);
    check(r"^[\p{Greek}\x{1F600}]$", &["\u{3b1}", "\u{1f600}"], &["a", "p"]);
    check(r"^\p{^Greek}$", &["a"], &["\u{3b1}"]);
    check(r"^\P{L}\pL$", &["1a"], &["aa"]);
    check(r"^\x{1F600}$", &["\u{1f600}"], &["x"]);
    check("^a{01}$", &["a{01}"], &["a"]);
    check("^[[:^alpha:]]$", &["1"], &["a"]);
}

#[test]
fn deep_groups_are_read_on_any_stack() {
    let deep = |depth: usize| format!("{}a{}", "(".repeat(depth), ")".repeat(depth));
    let work = move || {
        assert!(compile(&deep(990)).is_ok());
        assert!(compile(&deep(1_010)).unwrap_err().contains("expression nests too deeply"));
    };
    std::thread::Builder::new().stack_size(512 * 1024).spawn(work).unwrap().join().unwrap();
}

#[test]
fn who_compiles_is_asked_before_it_takes_more() {
    let asked = |pattern: &str, left: usize| {
        let mut asked = Vec::new();
        let compiled = compile_sized(pattern, &mut |bytes| {
            asked.push(bytes >> 10);
            bytes <= left
        });
        (asked, compiled.map(|sized| sized.bytes >> 10))
    };
    assert_eq!(asked("^[a-z]+$", 1 << 30), (vec![16], Ok(16)));
    let (steps, bytes) = asked(".{0,500}", 1 << 30);
    assert_eq!((steps.last().copied(), steps.len() > 2), (bytes.ok(), true));
    assert_eq!(asked(".{0,500}", 20 << 10), (vec![16, 64], Err(CompileError::Unaffordable)));
    let too_large = CompileError::Wrong("error parsing regexp: expression too large: `\\pL{1000}`".to_owned());
    assert_eq!(asked(r"\pL{1000}", 1 << 30), (vec![16, 64, 256, 1024, 4096], Err(too_large)));
    assert_eq!(
        asked("(", 1 << 30).1,
        Err(CompileError::Wrong("error parsing regexp: missing closing ): `(`".to_owned()))
    );
}

proptest::proptest! {
    #[test]
    fn nothing_panics(pattern in r"[\\\[\]{}()*+?^$|.,:<>!=&~PQEdwsbBx0-9a-]{0,24}", text in ".{0,12}") {
        if let Ok(regex) = compile(&pattern) {
            let _ = regex.is_match(&text);
        }
    }
}

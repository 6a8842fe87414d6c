use super::{Step, lines, matches, parse};

#[track_caller]
fn check(want: &str, got: &str, is_match: bool) {
    assert_eq!(matches(&lines(want), &lines(got)), is_match, "{want:?} against {got:?}");
}

#[test]
fn a_transcript_is_commands_with_their_outputs() {
    let steps = parse(
        "# First.\n$ cat > a <<END\n> line\n> END\n$ false\n? 1\nout\n\n  deeper\n\n# Ignored\nas is this\n$ true\n> \n",
    );
    let step = |command: &str, exit_code, output: &[&str]| Step {
        command: command.to_owned(),
        exit_code,
        output: output.iter().map(|&line| line.to_owned()).collect(),
    };
    let want =
        [step("cat > a <<END\nline\nEND", 0, &[]), step("false", 1, &["out", "", "  deeper"]), step("true\n", 0, &[])];
    assert_eq!(steps, want);
}

#[test]
fn lines_are_the_same_but_for_what_stands_for_anything() {
    check("", "", true);
    check("", "x", false);
    check("a\nb", "a  \nb\n", true);
    check("a\nb", "a", false);
    check("web [..] 1", "web   12s 1", true);
    check("web [..] 1", "web 1", false);
    check("[..]b[..]b[..]", "abab", true);
    check("[..]b[..]b[..]", "ab", false);
    check("ab[..]b", "ab", false);
}

#[test]
fn dots_stand_for_any_lines() {
    check("...", "", true);
    check("a\n...", "a", true);
    check("a\n...\nz", "a\nb\nc\nz", true);
    check("a\n...\nz", "a", false);
    check("a\n...\nm\nn\n...\nz", "a\nm\nm\nn\nz", true);
    check("a\n...\nm\n...\nz", "a\nb\nz", false);
    check("...\nz", "z\ny", false);
}

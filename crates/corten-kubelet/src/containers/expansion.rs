//! `$(NAME)` in commands, arguments and values. Pure.
//!
//! Upstream: third_party/forked/golang/expansion (v1.35), with its rules: `$$` is one `$`, a name that nobody knows
//! stays as it is written.

/// Replaces references in `input` by what `lookup` knows.
pub(super) fn expand(input: &str, lookup: impl Fn(&str) -> Option<String>) -> String {
    let (expanded, _) = expand_noting(input, lookup);
    expanded
}

/// Likewise, and the first name that nobody knew.
pub(super) fn expand_noting(input: &str, lookup: impl Fn(&str) -> Option<String>) -> (String, Option<String>) {
    let (mut output, mut rest, mut unknown) = (String::with_capacity(input.len()), input, None);
    while let Some(at) = rest.find('$') {
        output.push_str(&rest[..at]);
        let after = &rest[at + 1..];
        if let Some(tail) = after.strip_prefix('$') {
            output.push('$');
            rest = tail;
            continue;
        }
        let reference = after.strip_prefix('(').and_then(|inner| inner.split_once(')'));
        match reference {
            Some((name, tail)) => {
                match lookup(name) {
                    Some(value) => output.push_str(&value),
                    None => {
                        output.push_str(&format!("$({name})"));
                        unknown.get_or_insert_with(|| name.to_owned());
                    }
                }
                rest = tail;
            }
            None => {
                output.push('$');
                rest = after;
            }
        }
    }
    output.push_str(rest);
    (output, unknown)
}

#[cfg(test)]
mod tests {
    #[track_caller]
    fn check(input: &str, want: &str) {
        let lookup = |name: &str| match name {
            "A" => Some("a".to_owned()),
            "B" => Some("$(A)".to_owned()),
            "E" => Some(String::new()),
            _ => None,
        };
        assert_eq!(super::expand(input, lookup), want);
    }

    #[test]
    fn references_are_replaced_once() {
        check("$(A)-$(B)-$(E)", "a-$(A)-");
        check("$$(A)", "$(A)");
        check("$$$(A)", "$a");
        check("$(C)", "$(C)");
        check("$A ${A} $", "$A ${A} $");
        check("$(A", "$(A");
        check("$(A$(A)", "$(A$(A)");
        check("", "");
    }
}

//! `$(NAME)` in commands, from the values that the container's spec has as text.
//!
//! Upstream: k8s.io/kubernetes/third_party/forked/golang/expansion, `ExpandContainerCommandOnlyStatic` (v1.35).

use corten_api::core::v1::EnvVar;

/// The command with its variables replaced; `$$` is a dollar, and what names nothing stays as it is.
pub(crate) fn expand(command: &[String], env: &[EnvVar]) -> Vec<String> {
    let value = |name: &str| env.iter().rev().find(|one| one.name == name).and_then(|one| one.value.as_deref());
    command.iter().map(|word| expand_word(word, &value)).collect()
}

fn expand_word<'a>(word: &str, value: &impl Fn(&str) -> Option<&'a str>) -> String {
    let (mut out, mut rest) = (String::new(), word);
    while let Some(at) = rest.find('$') {
        out.push_str(&rest[..at]);
        rest = &rest[at + 1..];
        if let Some(after) = rest.strip_prefix('$') {
            out.push('$');
            rest = after;
        } else if let Some((name, after)) = rest.strip_prefix('(').and_then(|inner| inner.split_once(')')) {
            match value(name) {
                Some(text) => out.push_str(text),
                None => {
                    out.push_str("$(");
                    out.push_str(name);
                    out.push(')');
                }
            }
            rest = after;
        } else {
            out.push('$');
        }
    }
    out + rest
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn variables_are_replaced() {
        let env = [EnvVar { name: "A".into(), value: Some("1".into()), ..EnvVar::default() }];
        for (word, want) in
            [("$(A)", "1"), ("x$(A)y$(B)", "x1y$(B)"), ("$$(A)", "$(A)"), ("$A", "$A"), ("$(A", "$(A"), ("5$", "5$")]
        {
            assert_eq!(expand(&[word.to_owned()], &env), [want], "{word}");
        }
    }
}

//! `$(NAME)` in commands, arguments, values and paths. Pure.
//!
//! Invariant: what comes of it has a bound. A value sees those before it with their references replaced, so each may be
//! twice as long as the last, and a few words of a pod would ask for more memory than there is.
//! Upstream: third_party/forked/golang/expansion (v1.35), with its rules: `$$` is one `$`, a name that nobody knows
//! stays as it is written. It has no bounds.

use std::collections::BTreeMap;

use corten_api::core::v1::EnvVar;

/// The longest text that references may make, in bytes: `execve` takes no longer argument or variable. Source:
/// `MAX_ARG_STRLEN`.
const TEXT_BYTES_MAX: usize = 128 << 10;
/// The most that is made for one container, in bytes: `execve` takes no more, however large the stack may be. Source:
/// `bprm_stack_limits`, three quarters of `_STK_LIM`.
pub(crate) const TOTAL_BYTES_MAX: usize = 6 << 20;

/// Why nothing was made.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub(crate) enum TooLong {
    /// One text.
    #[error("a text with its references replaced has more than {TEXT_BYTES_MAX} bytes, which no program can be given")]
    Text,
    /// All of them.
    #[error("the texts for a container have more than {TOTAL_BYTES_MAX} bytes together, which no program can be given")]
    Total,
}

impl From<TooLong> for String {
    fn from(error: TooLong) -> Self {
        error.to_string()
    }
}

/// How much more may be made, in bytes.
#[derive(Debug)]
pub(crate) struct Room(usize);

impl Default for Room {
    fn default() -> Self {
        Self(TOTAL_BYTES_MAX)
    }
}

impl Room {
    /// Counts a text before it is copied.
    pub(crate) fn take(&mut self, bytes: usize) -> Result<(), TooLong> {
        self.0 = self.0.checked_sub(bytes).ok_or(TooLong::Total)?;
        Ok(())
    }
}

/// Replaces references in `input` by what `lookup` knows.
pub(crate) fn expand<'a>(
    input: &str,
    lookup: impl Fn(&str) -> Option<&'a str>,
    room: &mut Room,
) -> Result<String, TooLong> {
    let (expanded, _) = expand_noting(input, lookup, room)?;
    Ok(expanded)
}

/// Likewise, and the first name that nobody knew.
pub(crate) fn expand_noting<'a>(
    input: &str,
    lookup: impl Fn(&str) -> Option<&'a str>,
    room: &mut Room,
) -> Result<(String, Option<String>), TooLong> {
    // What somebody wrote in full is no matter of references.
    let bytes_max = input.len().max(TEXT_BYTES_MAX);
    let (mut output, mut rest, mut unknown) = (String::with_capacity(input.len()), input, None);
    // Where nothing ends a reference any more, nobody looks for an end.
    let mut ends = input.matches(')').count();
    while let Some(at) = rest.find('$') {
        let (before, after) = (&rest[..at], &rest[at + 1..]);
        output.push_str(before);
        ends -= before.matches(')').count();
        if let Some(tail) = after.strip_prefix('$') {
            output.push('$');
            rest = tail;
            continue;
        }
        let reference = after.strip_prefix('(').filter(|_| ends > 0).and_then(|inner| inner.split_once(')'));
        match reference {
            Some((name, tail)) => {
                match lookup(name) {
                    Some(value) => {
                        if output.len() + value.len() > bytes_max {
                            return Err(TooLong::Text);
                        }
                        output.push_str(value);
                    }
                    None => {
                        output.push('$');
                        output.push_str(&after[..name.len() + 2]);
                        unknown.get_or_insert_with(|| name.to_owned());
                    }
                }
                ends -= 1;
                rest = tail;
            }
            None => {
                output.push('$');
                rest = after;
            }
        }
    }
    output.push_str(rest);
    room.take(output.len())?;
    Ok((output, unknown))
}

/// A command with references replaced by the values that the container's spec has as text; those that come from elsewhere
/// are empty. Source: `ExpandContainerCommandOnlyStatic`.
pub(crate) fn expand_static(command: &[String], env: &[EnvVar]) -> Result<Vec<String>, TooLong> {
    let values: BTreeMap<&str, &str> =
        env.iter().map(|one| (one.name.as_str(), one.value.as_deref().unwrap_or_default())).collect();
    let mut room = Room::default();
    command.iter().map(|word| expand(word, |name| values.get(name).copied(), &mut room)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn known(name: &str) -> Option<&'static str> {
        match name {
            "A" => Some("a"),
            "B" => Some("$(A)"),
            "E" => Some(""),
            _ => None,
        }
    }

    #[track_caller]
    fn check(input: &str, want: &str) {
        assert_eq!(expand(input, known, &mut Room::default()).as_deref(), Ok(want));
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
        check(")$(A))$(A", ")a)$(A");
        check("", "");
    }

    /// 80,000 references to a value of 500 KB made 40 GB.
    #[test]
    fn what_references_make_has_a_bound() {
        let value = "x".repeat(500_000);
        let lookup = |name: &str| (name == "A").then_some(value.as_str());
        let made = expand(&"$(A)".repeat(80_000), lookup, &mut Room::default());
        assert_eq!(made, Err(TooLong::Text));
        let long = "$$".to_owned() + &value;
        let made = expand(&long, lookup, &mut Room::default()).unwrap();
        assert_eq!(made.len(), value.len() + 1, "what was written in full stays");
        let env = [EnvVar { name: "A".to_owned(), value: Some("x".repeat(100_000)), ..EnvVar::default() }];
        let made = expand_static(&vec!["$(A)".to_owned(); 15_000], &env);
        assert_eq!(made, Err(TooLong::Total));
    }

    /// The end of each was looked for through all that follows it: for a megabyte of them half a million times.
    #[test]
    fn references_without_an_end_are_looked_through_once() {
        let open = "$(".repeat(2_000_000);
        check(&open, &open);
        check(&format!("){open}"), &format!("){open}"));
    }

    #[test]
    fn a_probes_command_sees_the_texts_of_the_spec() {
        let variable = |name: &str, value: Option<&str>| EnvVar {
            name: name.to_owned(),
            value: value.map(str::to_owned),
            ..EnvVar::default()
        };
        let env = [variable("A", Some("0")), variable("A", Some("1")), variable("F", None)];
        for (word, want) in
            [("$(A)", "1"), ("x$(A)y$(B)", "x1y$(B)"), ("$$(A)", "$(A)"), ("$A", "$A"), ("$(F)", ""), ("5$", "5$")]
        {
            assert_eq!(expand_static(&[word.to_owned()], &env).unwrap(), [want], "{word}");
        }
    }

    /// Each attempt looked for each name among all variables.
    #[test]
    fn many_names_are_looked_up_among_many_variables() {
        let count = 200_000;
        let variable = |number| EnvVar { name: format!("A{number}"), ..EnvVar::default() };
        let env: Vec<EnvVar> = (0..count).map(variable).collect();
        let command: Vec<String> = (0..count).map(|number| format!("$(A{number})")).collect();
        assert!(expand_static(&command, &env).unwrap().iter().all(String::is_empty));
    }
}

//! Variables from a file of a volume (`fileKeyRef`): one `NAME=value` a line. Pure.
//!
//! A value in single quotes may go over several lines; `#` begins a comment outside of them.
//! Upstream: pkg/kubelet/util/env (v1.35), feature gate `EnvFiles`.

use std::collections::BTreeMap;

/// What a file says.
#[derive(Debug, Default)]
pub(super) struct Variables {
    values: BTreeMap<String, String>,
    /// The name whose quote does not end: nothing after it is known.
    endless: Option<String>,
}

impl Variables {
    /// Reads a file. What is said first counts.
    pub(super) fn parse(text: &str) -> Self {
        let (mut found, mut rest) = (Self::default(), text);
        while !rest.is_empty() {
            let here = rest;
            let (line, after) = here.split_once('\n').unwrap_or((here, ""));
            rest = after;
            let line = line.trim_start().trim_end_matches('\r');
            let Some((name, value)) = line.split_once('=').filter(|_| !line.starts_with('#')) else { continue };
            let mut value = value.split('#').next().unwrap_or_default();
            if line[name.len() + 1..].starts_with('\'') {
                // From the quote to its end, which may be lines away.
                let start = here.find('=').map_or(0, |at| at + 2);
                let Some((quoted, after)) = here[start..].split_once('\'') else {
                    found.endless = Some(name.to_owned());
                    break;
                };
                value = quoted;
                rest = after.split_once('\n').map_or("", |(_, after)| after);
            }
            found.values.entry(name.to_owned()).or_insert_with(|| value.to_owned());
        }
        found
    }

    /// The value of `key`; `None` if the file does not name it. Errors: a quote before it that does not end.
    pub(super) fn get(&self, key: &str) -> Result<Option<&str>, String> {
        match (self.values.get(key), &self.endless) {
            (Some(value), _) => Ok(Some(value)),
            (None, Some(name)) => Err(format!("the value of {name} does not end")),
            (None, None) => Ok(None),
        }
    }

    /// How many bytes it keeps.
    pub(super) fn bytes(&self) -> usize {
        self.values.iter().map(|(name, value)| name.len() + value.len()).sum()
    }
}

#[cfg(test)]
mod tests {
    #[track_caller]
    fn check(text: &str, key: &str, want: Result<Option<&str>, &str>) {
        assert_eq!(super::Variables::parse(text).get(key), want.map_err(str::to_owned));
    }

    #[test]
    fn a_value_is_found_by_its_name() {
        let text = "# A=0\nA=1 # one\n\nB='2\n=#3' rest\nC='4'\r\nD=";
        check(text, "A", Ok(Some("1 ")));
        check(text, "B", Ok(Some("2\n=#3")));
        check(text, "C", Ok(Some("4")));
        check(text, "D", Ok(Some("")));
        check(text, "E", Ok(None));
        check("A='1\n", "A", Err("the value of A does not end"));
        check("A=1\nB='1\nA=2", "A", Ok(Some("1")));
        check("A=1\nA=2", "A", Ok(Some("1")));
    }
}

//! Variables from a file of a volume (`fileKeyRef`): one `NAME=value` a line. Pure.
//!
//! A value in single quotes may go over several lines; `#` begins a comment outside of them.
//! Upstream: pkg/kubelet/util/env (v1.35), feature gate `EnvFiles`.

/// The value of `key`; `None` if the file does not name it. Errors: a quote that does not end.
pub(super) fn value(text: &str, key: &str) -> Result<Option<String>, String> {
    let mut rest = text;
    while !rest.is_empty() {
        let here = rest;
        let (line, after) = here.split_once('\n').unwrap_or((here, ""));
        rest = after;
        let line = line.trim_start().trim_end_matches('\r');
        let Some((name, value)) = line.split_once('=').filter(|_| !line.starts_with('#')) else { continue };
        if !value.starts_with('\'') {
            if name == key {
                return Ok(Some(value.split('#').next().unwrap_or_default().to_owned()));
            }
            continue;
        }
        // From the quote to its end, which may be lines away.
        let start = here.find('=').map_or(0, |at| at + 2);
        let ended = here[start..].split_once('\'');
        let (value, after) = ended.ok_or_else(|| format!("the value of {name} does not end"))?;
        rest = after.split_once('\n').map_or("", |(_, after)| after);
        if name == key {
            return Ok(Some(value.to_owned()));
        }
    }
    Ok(None)
}

#[cfg(test)]
mod tests {
    #[track_caller]
    fn check(text: &str, key: &str, want: Result<Option<&str>, &str>) {
        assert_eq!(super::value(text, key), want.map(|value| value.map(str::to_owned)).map_err(str::to_owned));
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
    }
}

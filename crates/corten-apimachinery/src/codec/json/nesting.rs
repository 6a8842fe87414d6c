//! How deeply a text is nested, before anything is made of it.

/// How many arrays and objects a text has at most: brackets within strings count, too.
#[must_use]
pub fn containers(json: &[u8]) -> usize {
    memchr::memchr2_iter(b'{', b'[', json).count()
}

/// How many levels of arrays and objects a text has. Of what is no JSON, any number.
#[must_use]
pub fn levels(json: &[u8]) -> usize {
    let (mut level, mut deepest, mut in_string, mut escaped) = (0_usize, 0, false, false);
    for &byte in json {
        match byte {
            _ if escaped => escaped = false,
            b'\\' if in_string => escaped = true,
            b'"' => in_string = !in_string,
            _ if in_string => {}
            b'{' | b'[' => {
                level += 1;
                deepest = deepest.max(level);
            }
            b'}' | b']' => level = level.saturating_sub(1),
            _ => {}
        }
    }
    deepest
}

/// Whether a text has more than so many levels. Nearly all have too few arrays and objects for that, and are not looked at
/// more closely.
#[must_use]
pub fn is_deeper_than(json: &[u8], most: usize) -> bool {
    // A level has two brackets.
    json.len() / 2 > most && memchr::memchr2_iter(b'{', b'[', json).nth(most).is_some() && levels(json) > most
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn levels_are_those_of_arrays_and_objects() {
        #[track_caller]
        fn check(json: &str, want: usize) {
            assert_eq!(levels(json.as_bytes()), want, "{json}");
            assert!(containers(json.as_bytes()) >= want, "{json}");
            assert!(!is_deeper_than(json.as_bytes(), want), "{json}");
            assert!(want == 0 || json.len() % 2 == 1 || is_deeper_than(json.as_bytes(), want - 1), "{json}");
        }
        check("1", 0);
        check("{}", 1);
        check(r#"[{}, [{"a": {}}], {}]"#, 4);
        check(r#"["[[[", "\"[[", "\\", [1]]"#, 2);
        check("[[]]]]][", 2);
    }
}

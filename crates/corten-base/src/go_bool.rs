//! Truth values as Go reads them.

/// The truth value that a text says; `None` if it says none. Source: Go, `strconv.ParseBool`.
#[must_use]
pub fn parse_bool(text: &str) -> Option<bool> {
    match text {
        "1" | "t" | "T" | "true" | "TRUE" | "True" => Some(true),
        "0" | "f" | "F" | "false" | "FALSE" | "False" => Some(false),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_text_is_as_true_as_to_go() {
        let read = |texts: &[&str]| texts.iter().map(|text| parse_bool(text)).collect::<Vec<_>>();
        assert_eq!(read(&["1", "t", "T", "true", "TRUE", "True"]), [Some(true); 6]);
        assert_eq!(read(&["0", "f", "F", "false", "FALSE", "False"]), [Some(false); 6]);
        assert_eq!(read(&["", "tRUE", "yes", "2", " 1"]), [None; 5]);
    }
}

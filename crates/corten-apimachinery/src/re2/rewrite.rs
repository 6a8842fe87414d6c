//! Writes an expression of RE2 as crate `regex` reads it.

/// What RE2's escapes of classes mean, within a class.
fn perl_class(letter: char) -> Option<&'static str> {
    Some(match letter {
        'd' => "0-9",
        'w' => "0-9A-Za-z_",
        's' => "\\t\\n\\x0C\\r ",
        _ => return None,
    })
}

/// The expression in the words of crate `regex`. Errors: what has no such words, because it is no expression of RE2.
pub(super) fn rewrite(pattern: &str) -> Result<String, String> {
    let mut out = String::with_capacity(pattern.len() + 8);
    let mut rest = pattern;
    // The repetition that was written last, if nothing stands behind it: another one has nothing to repeat. Crate `regex`
    // would take it.
    let mut repeated = "";
    while let Some(first) = rest.chars().next() {
        if let Some(operator) = operator(rest) {
            if !repeated.is_empty() {
                return Err(format!("invalid nested repetition operator: `{repeated}{operator}`"));
            }
            check_count(operator)?;
            out.push_str(operator);
            rest = &rest[operator.len()..];
            if let Some(tail) = rest.strip_prefix('?') {
                out.push('?');
                rest = tail;
            }
            repeated = operator;
            continue;
        }
        repeated = "";
        let tail = &rest[first.len_utf8()..];
        rest = match first {
            '\\' => escape(tail, &mut out)?,
            '[' => class(rest, &mut out)?,
            '(' if tail.starts_with('?') => group(tail, &mut out)?,
            _ => {
                if first == '{' {
                    out.push('\\');
                }
                out.push(first);
                tail
            }
        };
    }
    Ok(out)
}

/// The repetition at the start of `text`.
fn operator(text: &str) -> Option<&str> {
    match text.as_bytes().first()? {
        b'*' | b'+' | b'?' => Some(&text[..1]),
        b'{' => repetition(text),
        _ => None,
    }
}

/// A counted repetition at the start of `text`: `{2}`, `{2,}`, `{2,3}`. Anything else in braces is text.
fn repetition(text: &str) -> Option<&str> {
    let end = text.find('}')?;
    let (low, high) = match text[1..end].split_once(',') {
        Some((low, high)) => (low, high),
        None => (&text[1..end], ""),
    };
    let is_number = |text: &str| !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    (is_number(low) && (high.is_empty() || is_number(high))).then(|| &text[..=end])
}

/// RE2 repeats at most a thousand times.
fn check_count(count: &str) -> Result<(), String> {
    let too_many =
        |number: &str| number.bytes().all(|byte| byte.is_ascii_digit()) && number.parse().unwrap_or(1001_u32) > 1000;
    let mut numbers = count.trim_matches(['{', '}']).split(',').filter(|number| !number.is_empty());
    if numbers.any(too_many) { Err(format!("invalid repeat count: `{count}`")) } else { Ok(()) }
}

/// A group that begins with a question mark. `text` begins behind the parenthesis.
fn group<'t>(text: &'t str, out: &mut String) -> Result<&'t str, String> {
    let body = &text[1..];
    let end = body.find([':', ')', '<', '=', '!']).unwrap_or(body.len());
    let flags = &body[..end];
    let is_named =
        body.starts_with("P<") || (body.starts_with('<') && !body.starts_with("<=") && !body.starts_with("<!"));
    if !is_named && (!flags.chars().all(|flag| "imsU-".contains(flag)) || !body[end..].starts_with([':', ')'])) {
        let shown = body.chars().next().map_or(0, char::len_utf8);
        return Err(format!("invalid or unsupported Perl syntax: `(?{}`", &body[..shown]));
    }
    out.push_str("(?");
    if is_named {
        return Ok(body);
    }
    out.push_str(flags);
    Ok(&body[end..])
}

/// An escape outside of a class. `text` begins behind the backslash.
fn escape<'t>(text: &'t str, out: &mut String) -> Result<&'t str, String> {
    let Some(letter) = text.chars().next() else {
        return Err("trailing backslash at end of expression: ``".to_owned());
    };
    let tail = &text[letter.len_utf8()..];
    match letter {
        'Q' => {
            let (literal, tail) = tail.split_once("\\E").unwrap_or((tail, ""));
            out.push_str(&regex::escape(literal));
            return Ok(tail);
        }
        'b' => out.push_str("(?-u:\\b)"),
        // Not at a word boundary of ASCII: what stands on both sides is of one kind.
        'B' => out.push_str("(?-u:\\B)"),
        'd' | 'w' | 's' => out.extend(["[", perl_class(letter).unwrap_or_default(), "]"]),
        'D' | 'W' | 'S' => {
            out.extend(["[^", perl_class(letter.to_ascii_lowercase()).unwrap_or_default(), "]"]);
        }
        'A' | 'z' => out.extend(['\\', letter]),
        _ => return character(letter, tail, out),
    }
    Ok(tail)
}

/// An escape that means one character or a class of Unicode, inside or outside of a class.
fn character<'t>(letter: char, tail: &'t str, out: &mut String) -> Result<&'t str, String> {
    match letter {
        'a' | 'f' | 't' | 'n' | 'r' | 'v' | 'p' | 'P' | 'x' => out.extend(['\\', letter]),
        '0'..='7' => {
            // Octal, if it begins with 0 or has three digits.
            let digits = tail.bytes().take(2).take_while(|byte| (b'0'..=b'7').contains(byte)).count();
            if letter != '0' && digits == 0 {
                return Err(format!("invalid escape sequence: `\\{letter}`"));
            }
            let octal = format!("{letter}{}", &tail[..digits]);
            let code = u32::from_str_radix(&octal, 8).unwrap_or_default();
            out.push_str(&format!("\\x{{{code:X}}}"));
            return Ok(&tail[digits..]);
        }
        letter if letter.is_ascii_punctuation() => match letter {
            '<' | '>' => out.push(letter),
            _ => out.extend(['\\', letter]),
        },
        _ => return Err(format!("invalid escape sequence: `\\{letter}`")),
    }
    Ok(tail)
}

/// A class, whose opening bracket begins `text`.
fn class<'t>(text: &'t str, out: &mut String) -> Result<&'t str, String> {
    let missing = || format!("missing closing ]: `{text}`");
    let mut rest = &text[1..];
    out.push('[');
    if let Some(tail) = rest.strip_prefix('^') {
        out.push('^');
        rest = tail;
    }
    let mut is_first = true;
    loop {
        let letter = rest.chars().next().ok_or_else(missing)?;
        let tail = &rest[letter.len_utf8()..];
        rest = match letter {
            ']' if !is_first => {
                out.push(']');
                return Ok(tail);
            }
            '[' if tail.starts_with(':') && tail.contains(":]") => {
                let end = tail.find(":]").map_or(0, |at| at + 2);
                out.push('[');
                out.push_str(&tail[..end]);
                &tail[end..]
            }
            '\\' => {
                let escaped = tail.chars().next().ok_or_else(missing)?;
                let behind = &tail[escaped.len_utf8()..];
                match (perl_class(escaped), perl_class(escaped.to_ascii_lowercase())) {
                    (Some(inner), _) => {
                        out.push_str(inner);
                        behind
                    }
                    (None, Some(inner)) => {
                        out.extend(["[^", inner, "]"]);
                        behind
                    }
                    (None, None) => character(escaped, behind, out)?,
                }
            }
            // A dash is left alone where it makes a range; the rest has a meaning in classes of crate `regex` only.
            '[' | ']' | '&' | '~' | '^' => {
                out.extend(['\\', letter]);
                tail
            }
            '-' if is_first || tail.starts_with(']') || tail.starts_with('-') => {
                out.push_str("\\-");
                tail
            }
            _ => {
                out.push(letter);
                tail
            }
        };
        is_first = false;
    }
}

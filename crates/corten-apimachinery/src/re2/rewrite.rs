//! Writes an expression of RE2 as crate `regex` reads it.
//!
//! Upstream: Go's regexp/syntax/parse.go, where also the limits of repetitions are from.

/// The largest count of a repetition, and the largest product of the counts of those that stand in each other.
const REPEAT_MAX: u32 = 1000;

/// RE2's names of classes within classes, which may stand behind `^`.
const CLASS_NAMES: [&str; 14] = [
    "alnum", "alpha", "ascii", "blank", "cntrl", "digit", "graph", "lower", "print", "punct", "space", "upper", "word",
    "xdigit",
];

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
    let mut repeats = Repeats::default();
    // What begins with the repetition that was written last, if nothing stands behind that: another one has nothing to
    // repeat. Crate `regex` would take it.
    let mut repeated = "";
    while let Some(first) = rest.chars().next() {
        if let Some(repetition) = Repetition::at(rest) {
            repetition.check_counts()?;
            out.push_str(repetition.text);
            let before = rest;
            rest = &rest[repetition.text.len()..];
            if let Some(tail) = rest.strip_prefix('?') {
                out.push('?');
                rest = tail;
            }
            let written = |from: &str| from[..from.len() - rest.len()].to_owned();
            if !repeated.is_empty() {
                return Err(format!("invalid nested repetition operator: `{}`", written(repeated)));
            }
            if !repeats.repeat(&repetition) {
                return Err(format!("invalid repeat count: `{}`", written(before)));
            }
            repeated = before;
            continue;
        }
        repeated = "";
        let tail = &rest[first.len_utf8()..];
        rest = match first {
            '\\' => {
                repeats.part();
                escape(tail, &mut out)?
            }
            '[' => {
                repeats.part();
                class(rest, &mut out)?
            }
            '(' => {
                repeats.open();
                if tail.starts_with('?') {
                    group(tail, &mut out)?
                } else {
                    out.push('(');
                    tail
                }
            }
            _ => {
                match first {
                    ')' => repeats.close(),
                    _ => repeats.part(),
                }
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

/// How often what is written so far is repeated within itself.
#[derive(Debug, Default)]
struct Repeats {
    group: Group,
    /// The groups around it.
    outer: Vec<Group>,
}

/// The largest product of the counts of repetitions that stand in each other, in a group.
#[derive(Debug, Default)]
struct Group {
    /// In the last part, which a repetition would repeat.
    last: u32,
    /// In those before.
    before: u32,
}

impl Repeats {
    /// Another part begins.
    fn part(&mut self) {
        self.group.before = self.group.before.max(self.group.last);
        self.group.last = 1;
    }

    fn open(&mut self) {
        self.part();
        self.outer.push(std::mem::take(&mut self.group));
    }

    /// A group ends, if one was open.
    fn close(&mut self) {
        if let Some(outer) = self.outer.pop() {
            let inner = std::mem::replace(&mut self.group, outer);
            self.group.last = inner.last.max(inner.before).max(1);
        }
    }

    /// The last part is repeated. Returns whether RE2 allows it that often.
    fn repeat(&mut self, repetition: &Repetition<'_>) -> bool {
        let Some((low, high)) = repetition.counts else { return true };
        // What cannot be there at all may hold anything.
        let most = high.unwrap_or(low.max(1));
        self.group.last = self.group.last.saturating_mul(most);
        low.max(most) < 2 || self.group.last <= REPEAT_MAX
    }
}

/// A repetition.
struct Repetition<'t> {
    text: &'t str,
    /// The least and the largest count, if it is written with counts.
    counts: Option<(u32, Option<u32>)>,
}

impl<'t> Repetition<'t> {
    /// The one at the start of `text`: `*`, `+`, `?`, `{2}`, `{2,}`, `{2,3}`. Anything else in braces is text.
    fn at(text: &'t str) -> Option<Self> {
        match text.as_bytes().first()? {
            b'*' | b'+' | b'?' => return Some(Self { text: &text[..1], counts: None }),
            b'{' => {}
            _ => return None,
        }
        let end = text.find('}')?;
        let counts = match text[1..end].split_once(',') {
            Some((low, "")) => (count(low)?, None),
            Some((low, high)) => (count(low)?, Some(count(high)?)),
            None => {
                let exact = count(&text[1..end])?;
                (exact, Some(exact))
            }
        };
        Some(Self { text: &text[..=end], counts: Some(counts) })
    }

    /// RE2 repeats at most a thousand times.
    fn check_counts(&self) -> Result<(), String> {
        match self.counts {
            Some((low, high)) if low > REPEAT_MAX || high.is_some_and(|high| high > REPEAT_MAX || low > high) => {
                Err(format!("invalid repeat count: `{}`", self.text))
            }
            _ => Ok(()),
        }
    }
}

/// A count: digits, of which the first of several is not 0. One that is too large for anything is `u32::MAX`.
fn count(text: &str) -> Option<u32> {
    let is_number = !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    (is_number && (text.len() == 1 || !text.starts_with('0'))).then(|| text.parse().unwrap_or(u32::MAX))
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
        'p' | 'P' | 'x' if tail.starts_with('{') => return braced(letter, tail, out),
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

/// An escape that means what the braces say at whose start `text` begins.
fn braced<'t>(letter: char, text: &'t str, out: &mut String) -> Result<&'t str, String> {
    let Some(end) = text.find('}') else {
        let kind = if letter == 'x' { "invalid escape sequence" } else { "invalid character class range" };
        return Err(format!("{kind}: `\\{letter}{text}`"));
    };
    let (inside, tail) = (&text[1..end], &text[end + 1..]);
    let (letter, inside) = match (letter, inside.strip_prefix('^')) {
        ('p', Some(name)) => ('P', name),
        ('P', Some(name)) => ('p', name),
        _ => (letter, inside),
    };
    out.extend(['\\', letter]);
    out.extend(["{", inside, "}"]);
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
            '[' if tail.starts_with(':') && tail[1..].contains(":]") => {
                let end = tail[1..].find(":]").map_or(0, |at| at + 3);
                let name = &tail[1..end - 2];
                if !CLASS_NAMES.contains(&name.strip_prefix('^').unwrap_or(name)) {
                    return Err(format!("invalid character class range: `[{}`", &tail[..end]));
                }
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

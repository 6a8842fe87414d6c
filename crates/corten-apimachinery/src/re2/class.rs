//! Classes in brackets, classes of Unicode, and escapes.
//!
//! Characters are written by their numbers wherever they could mean something: `&&`, `~~` and `--` are operators in the
//! classes of crate `regex`, and brackets begin classes there.
//! Upstream: `parseClass`, `parseUnicodeClass`, `parseEscape` in Go's regexp/syntax/parse.go (1.25).

/// RE2's names of classes within classes, which may stand behind `^`.
const CLASS_NAMES: [&str; 14] = [
    "alnum", "alpha", "ascii", "blank", "cntrl", "digit", "graph", "lower", "print", "punct", "space", "upper", "word",
    "xdigit",
];

/// A class that no character is in: what stands for halves of surrogate pairs, which Go counts as characters.
const NOTHING: &str = "[a&&b]";

/// The numbers that are no characters.
const SURROGATES: std::ops::RangeInclusive<u32> = 0xD800..=0xDFFF;

/// The general categories of Unicode with their aliases, as they are looked up: in lower case, with nothing between words.
const CATEGORIES: &[(&str, &[&str])] = &[
    ("c", &["other"]),
    ("cc", &["control", "cntrl"]),
    ("cf", &["format"]),
    ("cn", &["unassigned"]),
    ("co", &["privateuse"]),
    ("cs", &["surrogate"]),
    ("l", &["letter"]),
    ("lc", &["casedletter"]),
    ("ll", &["lowercaseletter"]),
    ("lm", &["modifierletter"]),
    ("lo", &["otherletter"]),
    ("lt", &["titlecaseletter"]),
    ("lu", &["uppercaseletter"]),
    ("m", &["mark", "combiningmark"]),
    ("mc", &["spacingmark"]),
    ("me", &["enclosingmark"]),
    ("mn", &["nonspacingmark"]),
    ("n", &["number"]),
    ("nd", &["decimalnumber", "digit"]),
    ("nl", &["letternumber"]),
    ("no", &["othernumber"]),
    ("p", &["punctuation", "punct"]),
    ("pc", &["connectorpunctuation"]),
    ("pd", &["dashpunctuation"]),
    ("pe", &["closepunctuation"]),
    ("pf", &["finalpunctuation"]),
    ("pi", &["initialpunctuation"]),
    ("po", &["otherpunctuation"]),
    ("ps", &["openpunctuation"]),
    ("s", &["symbol"]),
    ("sc", &["currencysymbol"]),
    ("sk", &["modifiersymbol"]),
    ("sm", &["mathsymbol"]),
    ("so", &["othersymbol"]),
    ("z", &["separator"]),
    ("zl", &["lineseparator"]),
    ("zp", &["paragraphseparator"]),
    ("zs", &["spaceseparator"]),
];

/// The scripts whose names have four letters. All other names of four letters are codes of scripts, which Go does not know.
const SCRIPTS_OF_FOUR: [&str; 7] = ["ahom", "cham", "kawi", "lisu", "modi", "thai", "toto"];

/// What crate `regex` knows as scripts and Go, which has Unicode 15, does not.
const NOT_SCRIPTS: [&str; 13] = [
    "beriaerfe",
    "garay",
    "gurungkhema",
    "katakanaorhiragana",
    "kiratrai",
    "olonal",
    "sidetic",
    "sunuwar",
    "taiyo",
    "todhri",
    "tolongsiki",
    "tulutigalari",
    "unknown",
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

/// The class of RE2 with whose escape `text` begins, and what is behind that.
fn perl_escape(text: &str) -> Option<(String, &str)> {
    let mut letters = text.strip_prefix('\\')?.chars();
    let letter = letters.next()?;
    let negation = if letter.is_ascii_uppercase() { "^" } else { "" };
    let inside = perl_class(letter.to_ascii_lowercase())?;
    Some((format!("[{negation}{inside}]"), letters.as_str()))
}

fn trailing_backslash() -> String {
    "trailing backslash at end of expression: ``".to_owned()
}

/// Writes the escape outside of a class with whose backslash `text` begins. Returns what is behind it.
pub(super) fn escape<'t>(text: &'t str, out: &mut String) -> Result<&'t str, String> {
    let Some(letter) = text[1..].chars().next() else { return Err(trailing_backslash()) };
    let tail = &text[1 + letter.len_utf8()..];
    match letter {
        'Q' => {
            let (literal, tail) = tail.split_once("\\E").unwrap_or((tail, ""));
            out.push_str(&regex::escape(literal));
            return Ok(tail);
        }
        'b' => out.push_str("(?-u:\\b)"),
        // Not at a word boundary of ASCII: what stands on both sides is of one kind.
        'B' => out.push_str("(?-u:\\B)"),
        'A' | 'z' => out.extend(['\\', letter]),
        'p' | 'P' => return unicode_class(text, out),
        _ => {
            if let Some((class, tail)) = perl_escape(text) {
                out.push_str(&class);
                return Ok(tail);
            }
            let (code, tail) = character(text)?;
            match char::from_u32(code) {
                Some(_) => put(code, out),
                None => out.push_str(NOTHING),
            }
            return Ok(tail);
        }
    }
    Ok(tail)
}

/// Writes a character so that it means itself, inside and outside of a class.
fn put(code: u32, out: &mut String) {
    match char::from_u32(code).filter(char::is_ascii_alphanumeric) {
        Some(plain) => out.push(plain),
        None => out.push_str(&format!("\\x{{{code:X}}}")),
    }
}

/// The character that the escape means with whose backslash `text` begins, and what is behind it.
fn character(text: &str) -> Result<(u32, &str), String> {
    let mut letters = text[1..].chars();
    let Some(letter) = letters.next() else { return Err(trailing_backslash()) };
    let is_octal = |letter: &char| ('0'..='7').contains(letter);
    let code = match letter {
        'a' => 7,
        'f' => 12,
        'n' => 10,
        'r' => 13,
        't' => 9,
        'v' => 11,
        // One digit alone would be a reference to a group.
        '0'..='7' if letter == '0' || letters.clone().next().is_some_and(|next| is_octal(&next)) => {
            let mut code = letter.to_digit(8).unwrap_or_default();
            for _ in 0..2 {
                let Some(digit) = letters.clone().next().filter(is_octal) else { break };
                letters.next();
                code = code * 8 + digit.to_digit(8).unwrap_or_default();
            }
            code
        }
        'x' => match hexadecimal(&mut letters) {
            Some(code) => code,
            None => return Err(bad_escape(text, letters.as_str())),
        },
        other if other.is_ascii() && !other.is_ascii_alphanumeric() => u32::from(other),
        _ => return Err(bad_escape(text, letters.as_str())),
    };
    Ok((code, letters.as_str()))
}

fn bad_escape(text: &str, tail: &str) -> String {
    format!("invalid escape sequence: `{}`", &text[..text.len() - tail.len()])
}

/// Two digits, or any number of them in braces. What is left of `letters` says how far they were read.
fn hexadecimal(letters: &mut std::str::Chars<'_>) -> Option<u32> {
    let first = letters.next()?;
    if first != '{' {
        let second = letters.next().and_then(|letter| letter.to_digit(16));
        return Some(first.to_digit(16)? * 16 + second?);
    }
    let mut code = None;
    loop {
        match letters.next()? {
            '}' => return code,
            digit => {
                let next = code.unwrap_or_default() * 16 + digit.to_digit(16)?;
                code = Some(next).filter(|code| *code <= u32::from(char::MAX));
                code?;
            }
        }
    }
}

/// Writes the class of Unicode with whose backslash `text` begins: `\pL`, `\p{Greek}`, `\P{^Lu}`. Returns what is behind it.
fn unicode_class<'t>(text: &'t str, out: &mut String) -> Result<&'t str, String> {
    let bad = |shown: &str| format!("invalid character class range: `{shown}`");
    let behind = &text[2..];
    let end = match behind.chars().next() {
        Some('{') => behind.find('}').ok_or_else(|| bad(text))? + 1,
        Some(letter) => letter.len_utf8(),
        None => return Err(bad(text)),
    };
    let (name, tail) = behind.split_at(end);
    let shown = &text[..2 + end];
    let name = name.strip_prefix('{').map_or(name, |name| &name[..name.len() - 1]);
    let (name, is_negated) = match name.strip_prefix('^') {
        Some(name) => (name, text.starts_with("\\p")),
        None => (name, text.starts_with("\\P")),
    };
    let name: String =
        name.chars().filter(|letter| !" _-".contains(*letter)).map(|letter| letter.to_ascii_lowercase()).collect();
    let property = property(&name).ok_or_else(|| bad(shown))?;
    match (property.as_str(), is_negated) {
        ("gc=cs", false) => out.push_str(NOTHING),
        ("gc=cs", true) => out.push_str("\\p{any}"),
        (property, _) => out.push_str(&format!("\\{}{{{property}}}", if is_negated { 'P' } else { 'p' })),
    }
    Ok(tail)
}

/// How crate `regex` writes what Go calls so; `None` for what Go does not know. Whether there is a script of the name, crate
/// `regex` says.
fn property(name: &str) -> Option<String> {
    if ["any", "ascii", "assigned"].contains(&name) {
        return Some(name.to_owned());
    }
    if let Some((short, _)) = CATEGORIES.iter().find(|(short, aliases)| *short == name || aliases.contains(&name)) {
        return Some(format!("gc={short}"));
    }
    let may_be_script = !name.is_empty()
        && name.bytes().all(|byte| byte.is_ascii_lowercase())
        // Crate `regex` passes over it.
        && !name.starts_with("is")
        && !NOT_SCRIPTS.contains(&name)
        && (name.len() != 4 || SCRIPTS_OF_FOUR.contains(&name));
    may_be_script.then(|| format!("sc={name}"))
}

/// Writes the class whose opening bracket begins `text`. Returns what is behind it.
pub(super) fn class<'t>(text: &'t str, out: &mut String) -> Result<&'t str, String> {
    let mut rest = &text[1..];
    out.push('[');
    if let Some(tail) = rest.strip_prefix('^') {
        out.push('^');
        rest = tail;
    }
    let mut is_first = true;
    loop {
        if !is_first && let Some(tail) = rest.strip_prefix(']') {
            out.push(']');
            return Ok(tail);
        }
        is_first = false;
        if let Some((name, tail)) = rest.strip_prefix("[:").and_then(|inside| inside.split_once(":]")) {
            if !CLASS_NAMES.contains(&name.strip_prefix('^').unwrap_or(name)) {
                return Err(format!("invalid character class range: `[:{name}:]`"));
            }
            out.push_str(&format!("[:{name}:]"));
            rest = tail;
        } else if rest.starts_with("\\p") || rest.starts_with("\\P") {
            rest = unicode_class(rest, out)?;
        } else if let Some((class, tail)) = perl_escape(rest) {
            out.push_str(&class);
            rest = tail;
        } else {
            rest = range(text, rest, out)?;
        }
    }
}

/// Writes the character or the range of characters with which `rest` begins, in the class `text`.
fn range<'t>(text: &'t str, rest: &'t str, out: &mut String) -> Result<&'t str, String> {
    let one = |rest: &'t str| match rest.chars().next() {
        None => Err(format!("missing closing ]: `{text}`")),
        Some('\\') => character(rest),
        Some(letter) => Ok((u32::from(letter), &rest[letter.len_utf8()..])),
    };
    let (low, tail) = one(rest)?;
    // A dash before the end is one.
    let (high, tail) = match tail.strip_prefix('-') {
        Some(behind) if !behind.is_empty() && !behind.starts_with(']') => one(behind)?,
        _ => (low, tail),
    };
    if high < low {
        return Err(format!("invalid character class range: `{}`", &rest[..rest.len() - tail.len()]));
    }
    let low = if SURROGATES.contains(&low) { SURROGATES.end() + 1 } else { low };
    let high = if SURROGATES.contains(&high) { SURROGATES.start() - 1 } else { high };
    if high < low {
        out.push_str(NOTHING);
        return Ok(tail);
    }
    put(low, out);
    if low < high {
        out.push('-');
        put(high, out);
    }
    Ok(tail)
}

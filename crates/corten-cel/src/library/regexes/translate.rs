//! From RE2's syntax to that of crate `regex`, where they differ.
//!
//! RE2 knows `\d`, `\w` and `\s` as classes of ASCII, quotes with `\Q...\E`, takes braces that are no repetition for themselves,
//! and has neither classes inside of classes nor operators between them.
//!
//! Upstream: Go's regexp/syntax.

/// The largest count of a repetition, as RE2.
const REPEAT_MAX: u32 = 1_000;

/// `pattern` in the other syntax.
///
/// Errors: what RE2 refuses and the other syntax would take.
pub(super) fn translate(pattern: &str) -> Result<String, String> {
    let mut translator = Translator { rest: pattern, out: String::with_capacity(pattern.len() + 16) };
    translator.run()?;
    Ok(translator.out)
}

struct Translator<'p> {
    rest: &'p str,
    out: String,
}

impl Translator<'_> {
    fn next(&mut self) -> Option<char> {
        let mut characters = self.rest.chars();
        let next = characters.next();
        self.rest = characters.as_str();
        next
    }

    fn literal(&mut self, character: char) {
        self.out.push_str(&regex::escape(character.encode_utf8(&mut [0; 4])));
    }

    fn run(&mut self) -> Result<(), String> {
        let mut repeated = false;
        while let Some(character) = self.next() {
            let is_repetition = match character {
                '*' | '+' | '?' => true,
                '{' => self.is_counted()?,
                _ => false,
            };
            if is_repetition && repeated {
                return Err("invalid nested repetition operator".to_owned());
            }
            match character {
                '\\' => self.escape(false)?,
                '[' => self.class()?,
                '{' if !is_repetition => self.out.push_str("\\{"),
                '{' => {
                    let end = self.rest.find('}').map_or(self.rest.len(), |at| at + 1);
                    self.out.push('{');
                    self.out.push_str(&self.rest[..end]);
                    self.rest = &self.rest[end..];
                }
                '}' => self.out.push_str("\\}"),
                '(' if self.rest.starts_with('?') => self.group()?,
                other => self.out.push(other),
            }
            repeated = is_repetition;
            // A mark behind a repetition makes it lazy.
            if repeated && self.rest.starts_with('?') {
                self.out.push('?');
                self.next();
            }
        }
        Ok(())
    }

    /// Flags and names; of the flags, those that RE2 has.
    fn group(&mut self) -> Result<(), String> {
        self.out.push('(');
        let flags = self.rest[1..].split([')', ':', '<', 'P', '=']).next().unwrap_or_default();
        if let Some(unknown) = flags.chars().find(|flag| !"imsU-".contains(*flag)) {
            return Err(format!("invalid or unsupported Perl syntax: `(?{unknown}`"));
        }
        Ok(())
    }

    /// Whether what follows a brace is a count; if so, it has to be small enough.
    fn is_counted(&self) -> Result<bool, String> {
        let Some((counts, _)) = self.rest.split_once('}') else { return Ok(false) };
        let (min, max) = counts.split_once(',').map_or((counts, None), |(min, max)| (min, Some(max)));
        let is_number = |text: &str| !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
        if !is_number(min) || max.is_some_and(|max| !max.is_empty() && !is_number(max)) {
            return Ok(false);
        }
        let small = |text: &str| text.is_empty() || text.parse::<u32>().is_ok_and(|count| count <= REPEAT_MAX);
        if small(min) && max.is_none_or(small) {
            Ok(true)
        } else {
            Err(format!("invalid repeat count: `{{{counts}}}`"))
        }
    }

    /// What stands behind a backslash, in a class or outside.
    fn escape(&mut self, in_class: bool) -> Result<(), String> {
        let Some(character) = self.next() else { return Err("trailing backslash at end of expression: ``".to_owned()) };
        let class = |inner: &str| if in_class { inner.to_owned() } else { format!("[{inner}]") };
        let text = match character {
            'd' => class("0-9"),
            'w' => class("0-9A-Za-z_"),
            's' => class("\\t\\n\\x0C\\r\\x20"),
            'D' => "[^0-9]".to_owned(),
            'W' => "[^0-9A-Za-z_]".to_owned(),
            'S' => "[^\\t\\n\\x0C\\r\\x20]".to_owned(),
            'b' if !in_class => "(?-u:\\b)".to_owned(),
            'Q' if !in_class => {
                let (quoted, rest) = self.rest.split_once("\\E").unwrap_or((self.rest, ""));
                self.rest = rest;
                regex::escape(quoted)
            }
            'E' if !in_class => String::new(),
            '<' | '>' => character.to_string(),
            'p' | 'P' | 'x' if self.rest.starts_with('{') => {
                let end = self.rest.find('}').ok_or("invalid character class range")? + 1;
                let name = &self.rest[..end];
                self.rest = &self.rest[end..];
                format!("\\{character}{name}")
            }
            'C' | 'u' | 'U' | 'G' | 'Z' | 'k' | 'h' | 'H' | 'R' | 'K' => {
                return Err(format!("invalid escape sequence: `\\{character}`"));
            }
            other => format!("\\{other}"),
        };
        self.out.push_str(&text);
        Ok(())
    }

    fn class(&mut self) -> Result<(), String> {
        self.out.push('[');
        if self.rest.starts_with('^') {
            self.next();
            self.out.push('^');
        }
        let mut first = true;
        while let Some(character) = self.next() {
            match character {
                ']' if !first => {
                    self.out.push(']');
                    return Ok(());
                }
                '[' if self.rest.starts_with(':') => {
                    let end = self.rest.find(":]").ok_or("missing closing ]")?;
                    self.out.push('[');
                    self.out.push_str(&self.rest[..end + 2]);
                    self.rest = &self.rest[end + 2..];
                }
                '\\' => self.escape(true)?,
                // The operators of classes are written with these.
                '-' if self.rest.starts_with('-') || first => self.literal('-'),
                '-' => self.out.push('-'),
                ']' | '[' | '&' | '~' => self.literal(character),
                other => self.out.push(other),
            }
            first = false;
        }
        Err("missing closing ]".to_owned())
    }
}

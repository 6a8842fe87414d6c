//! Writes YAML as go-yaml v2 does, byte for byte: styles of scalars, folding at 80 columns, order of keys.

use std::cmp::Ordering;

use bytes::Bytes;

use crate::{
    codec::{json, lists::Around},
    stack,
    value::{
        Map, Value,
        go_float::{G, go_float},
    },
};

/// Where lines are folded.
const WIDTH: usize = 80;

/// Keys longer than this take the long form, with a question mark.
const SIMPLE_KEY_MAX: usize = 128;

/// How many blanks a document may have before its lines: those of a large list that stands deep are a thousand times what it
/// says. What has more is written on one line each from `FLOW_DEPTH` on, which means the same.
const INDENT_BYTES_MAX: usize = 16 << 20;
const FLOW_DEPTH: usize = 8;

/// Writes a tree as one document.
#[must_use]
pub fn encode(value: &Value) -> Bytes {
    let mut writer = Writer::of(value);
    match value {
        Value::Object(map) if !map.is_empty() => writer.map(map, 0, true),
        Value::Array(items) if !items.is_empty() => writer.list(items, 0, true),
        scalar => {
            writer.scalar(scalar, 2, false);
            writer.newline();
        }
    }
    writer.out.into()
}

/// Writes an item of a list in an object.
#[must_use]
pub fn encode_item(value: &Value) -> Bytes {
    let mut writer = Writer::of(value);
    writer.list(std::slice::from_ref(value), 0, false);
    writer.out.into()
}

/// What stands around the items of the list in `field` of `whole`, which has none of them and one at least to come.
#[must_use]
pub fn around(whole: &Value, field: &str) -> Option<Around> {
    // Keys of the object are all that stands at the beginning of a line, but for dashes.
    let (gap, open) = (format!("\n{field}: []\n"), format!("\n{field}:\n"));
    Around::cut(&encode(whole), gap.as_bytes(), (open.as_bytes(), b""))
}

struct Writer {
    out: String,
    column: usize,
    depth: usize,
    /// From which depth on everything is on one line.
    flow_depth: usize,
}

/// Whether the lines of a tree have more blanks in front than `INDENT_BYTES_MAX`.
fn is_blank_mostly(value: &Value) -> bool {
    let mut rest = vec![(value, 0)];
    let mut blanks = 0;
    while let Some((value, depth)) = rest.pop() {
        match value {
            Value::Array(items) => {
                blanks += items.len() * depth * 2;
                rest.extend(items.iter().map(|item| (item, depth + 1)));
            }
            Value::Object(map) => {
                blanks += map.len() * depth * 2;
                rest.extend(map.iter().map(|(_, value)| (value, depth + 1)));
            }
            Value::Raw(raw) => {
                let text = raw.text().as_bytes();
                blanks += json::containers(text) * (depth + json::levels(text)) * 2;
            }
            _ => {}
        }
        if blanks > INDENT_BYTES_MAX {
            return true;
        }
    }
    false
}

impl Writer {
    fn of(value: &Value) -> Self {
        let flow_depth = if is_blank_mostly(value) { FLOW_DEPTH } else { usize::MAX };
        Self { out: String::with_capacity(4 * 1024), column: 0, depth: 0, flow_depth }
    }

    /// What is within a map or list, as `write` does if it does not stand too deep for lines of its own.
    fn nested(&mut self, value: &Value, write: impl FnOnce(&mut Self)) {
        if self.depth == self.flow_depth {
            let json = json::encode(value, None);
            self.out.push_str(&String::from_utf8_lossy(&json));
            return self.newline();
        }
        self.depth += 1;
        stack::with_room(|| write(self));
        self.depth -= 1;
    }

    fn put(&mut self, text: &str) {
        self.out.push_str(text);
        self.column += text.chars().count();
    }

    fn newline(&mut self) {
        self.out.push('\n');
        self.column = 0;
    }

    fn indent(&mut self, indent: usize) {
        self.out.extend(std::iter::repeat_n(' ', indent));
        self.column += indent;
    }

    /// Entries at `indent`, each ending its line; the first continues the current line if `inline`.
    fn map(&mut self, map: &Map, indent: usize, inline: bool) {
        let entries: Vec<_> = map.entries().iter().collect();
        let entries = merge_sort(&entries, &|(a, _), (b, _)| key_order(a, b));
        for (index, (key, value)) in entries.into_iter().enumerate() {
            if index > 0 || !inline {
                self.indent(indent);
            }
            if key.len() > SIMPLE_KEY_MAX {
                self.put("? ");
                self.text(key, indent + 2, false);
                self.newline();
                self.indent(indent);
            } else {
                self.text(key, indent + 2, true);
            }
            self.put(":");
            let tree;
            let value = match value {
                Value::Raw(raw) => {
                    tree = raw.tree();
                    &tree
                }
                value => value,
            };
            match value {
                Value::Object(map) if !map.is_empty() => {
                    self.end_of_key();
                    self.nested(value, |writer| writer.map(map, indent + 2, false));
                }
                // Lists in maps are not indented.
                Value::Array(items) if !items.is_empty() => {
                    self.end_of_key();
                    self.nested(value, |writer| writer.list(items, indent, false));
                }
                scalar => {
                    self.put(" ");
                    self.scalar(scalar, indent + 2, false);
                    self.newline();
                }
            }
        }
    }

    fn list(&mut self, items: &[Value], indent: usize, inline: bool) {
        for (index, item) in items.iter().enumerate() {
            if index > 0 || !inline {
                self.indent(indent);
            }
            self.put("- ");
            match item {
                Value::Object(map) if !map.is_empty() => {
                    self.nested(item, |writer| writer.map(map, indent + 2, true));
                }
                Value::Array(items) if !items.is_empty() => {
                    self.nested(item, |writer| writer.list(items, indent + 2, true));
                }
                scalar => {
                    self.scalar(scalar, indent + 2, false);
                    self.newline();
                }
            }
        }
    }

    /// Behind the colon of what is more than a scalar.
    fn end_of_key(&mut self) {
        if self.depth == self.flow_depth {
            self.put(" ");
        } else {
            self.newline();
        }
    }

    fn scalar(&mut self, value: &Value, indent: usize, is_key: bool) {
        match value {
            Value::Null => self.put("null"),
            Value::Bool(true) => self.put("true"),
            Value::Bool(false) => self.put("false"),
            Value::Int(number) => self.put(itoa::Buffer::new().format(*number)),
            Value::Float(number) => self.put(&float(*number)),
            Value::String(text) => self.text(text, indent, is_key),
            Value::Array(_) => self.put("[]"),
            Value::Object(_) => self.put("{}"),
            // JSON is YAML, too.
            Value::Raw(raw) => self.put(raw.text()),
        }
    }

    fn text(&mut self, text: &str, indent: usize, is_key: bool) {
        let analysis = Analysis::of(text);
        if text.contains('\n') {
            return if analysis.literal && !is_key {
                self.literal(text, indent)
            } else {
                self.double_quoted(text, indent, !is_key)
            };
        }
        if !is_plain_string(text) {
            return self.double_quoted(text, indent, !is_key);
        }
        if analysis.plain {
            self.plain(text, indent, !is_key);
        } else if analysis.single_quoted {
            self.single_quoted(text, indent, !is_key);
        } else {
            self.double_quoted(text, indent, !is_key);
        }
    }

    fn fold(&mut self, indent: usize) {
        self.newline();
        self.indent(indent);
    }

    fn plain(&mut self, text: &str, indent: usize, folds: bool) {
        let mut after_space = false;
        let mut chars = text.chars().peekable();
        while let Some(c) = chars.next() {
            if c == ' ' && folds && !after_space && self.column > WIDTH && chars.peek() != Some(&' ') {
                self.fold(indent);
            } else {
                self.out.push(c);
                self.column += 1;
            }
            after_space = c == ' ';
        }
    }

    fn single_quoted(&mut self, text: &str, indent: usize, folds: bool) {
        self.put("'");
        let mut after_space = false;
        let mut chars = text.char_indices().peekable();
        while let Some((at, c)) = chars.next() {
            let next = chars.peek().map(|(_, next)| *next);
            let may_fold = c == ' ' && folds && !after_space && self.column > WIDTH;
            if may_fold && at > 0 && next.is_some_and(|next| next != ' ') {
                self.fold(indent);
            } else {
                if c == '\'' {
                    self.put("'");
                }
                self.out.push(c);
                self.column += 1;
            }
            after_space = c == ' ';
        }
        self.put("'");
    }

    fn double_quoted(&mut self, text: &str, indent: usize, folds: bool) {
        self.put("\"");
        let mut after_space = false;
        let mut chars = text.char_indices().peekable();
        while let Some((at, c)) = chars.next() {
            let next = chars.peek().map(|(_, next)| *next);
            if c == ' ' && folds && !after_space && self.column > WIDTH && at > 0 && next.is_some() {
                self.fold(indent);
                if next == Some(' ') {
                    self.put("\\");
                }
            } else if c == '"' || c == '\\' {
                self.put("\\");
                self.out.push(c);
                self.column += 1;
            } else if is_printable(c) && !is_break(c) && c != '\u{feff}' {
                self.out.push(c);
                self.column += 1;
            } else {
                let escape = match c {
                    '\0' => "\\0".to_owned(),
                    '\u{7}' => "\\a".to_owned(),
                    '\u{8}' => "\\b".to_owned(),
                    '\t' => "\\t".to_owned(),
                    '\n' => "\\n".to_owned(),
                    '\u{b}' => "\\v".to_owned(),
                    '\u{c}' => "\\f".to_owned(),
                    '\r' => "\\r".to_owned(),
                    '\u{1b}' => "\\e".to_owned(),
                    '\u{85}' => "\\N".to_owned(),
                    '\u{a0}' => "\\_".to_owned(),
                    '\u{2028}' => "\\L".to_owned(),
                    '\u{2029}' => "\\P".to_owned(),
                    c if u32::from(c) <= 0xff => format!("\\x{:02X}", u32::from(c)),
                    c if u32::from(c) <= 0xffff => format!("\\u{:04X}", u32::from(c)),
                    c => format!("\\U{:08X}", u32::from(c)),
                };
                self.put(&escape);
            }
            after_space = c == ' ';
        }
        self.put("\"");
    }

    fn literal(&mut self, text: &str, indent: usize) {
        self.put("|");
        if text.starts_with(|first| first == ' ' || is_break(first)) {
            // Without the number, the first line's spaces would count as indentation.
            self.put("2");
        }
        let mut last = text.chars().rev();
        match (last.next().is_some_and(is_break), last.next()) {
            (false, _) => self.put("-"),
            (true, None) => self.put("+"),
            (true, Some(c)) if is_break(c) => self.put("+"),
            (true, _) => {}
        }
        let mut lines = text.split('\n').peekable();
        while let Some(line) = lines.next() {
            // The caller ends the last line.
            if lines.peek().is_none() && line.is_empty() {
                break;
            }
            self.newline();
            if !line.is_empty() {
                self.indent(indent);
                self.put(line);
            }
        }
    }
}

/// Which styles a text may take.
struct Analysis {
    plain: bool,
    single_quoted: bool,
    literal: bool,
}

impl Analysis {
    fn of(text: &str) -> Self {
        let mut indicators = text.starts_with("---") || text.starts_with("...");
        let (mut special, mut breaks) = (false, false);
        let (mut leading, mut trailing, mut trailing_space) = (false, false, false);
        let (mut break_space, mut space_break) = (false, false);
        let (mut after_space, mut after_break, mut after_blank) = (false, false, true);
        let mut chars = text.chars().peekable();
        let mut first = true;
        while let Some(c) = chars.next() {
            let next = chars.peek().copied();
            let before_blank = next.is_none_or(is_blank);
            indicators |= match c {
                '#' | ',' | '[' | ']' | '{' | '}' | '&' | '*' | '!' | '|' | '>' | '\'' | '"' | '%' | '@' | '`'
                    if first =>
                {
                    true
                }
                '?' | '-' if first => before_blank,
                ':' => before_blank,
                '#' => after_blank,
                _ => false,
            };
            special |= !is_printable(c);
            if c == ' ' {
                leading |= first;
                trailing |= next.is_none();
                trailing_space |= next.is_none();
                break_space |= after_break;
            } else if is_break(c) {
                breaks = true;
                leading |= first;
                trailing |= next.is_none();
                space_break |= after_space;
            }
            (after_space, after_break, after_blank) = (c == ' ', is_break(c), is_blank(c));
            first = false;
        }
        let clean = !space_break && !special;
        Self {
            plain: clean && !leading && !trailing && !break_space && !breaks && !indicators && !text.is_empty(),
            single_quoted: clean && !break_space,
            literal: clean && !trailing_space,
        }
    }
}

fn is_break(c: char) -> bool {
    matches!(c, '\r' | '\n' | '\u{85}' | '\u{2028}' | '\u{2029}')
}

fn is_blank(c: char) -> bool {
    is_break(c) || matches!(c, ' ' | '\t' | '\0')
}

/// What go-yaml writes as it is: no control characters, and nothing beyond 16 bits.
fn is_printable(c: char) -> bool {
    matches!(c, '\n' | ' '..='~' | '\u{a0}'..='\u{d7ff}' | '\u{e000}'..='\u{fefe}' | '\u{ff00}'..='\u{fffd}')
}

/// Whether a plain text is read back as text, and not as a number, a truth value, null or a time.
fn is_plain_string(text: &str) -> bool {
    let Some(first) = text.bytes().next() else { return false };
    match first {
        b'y' | b'Y' | b'n' | b'N' | b't' | b'T' | b'f' | b'F' | b'o' | b'O' | b'~' | b'<' => !is_word(text),
        b'.' => !is_word(text) && text.parse::<f64>().is_err(),
        b'+' | b'-' | b'0'..=b'9' => !is_word(text) && !is_timestamp(text) && !is_number(text) && !is_base60(text),
        _ => true,
    }
}

fn is_word(text: &str) -> bool {
    let cased = |word: &str| {
        let capital = word[..1].to_ascii_uppercase() + &word[1..];
        text == word || text == word.to_ascii_uppercase() || text == capital
    };
    ["y", "yes", "true", "on", "n", "no", "false", "off", "null"].into_iter().any(cased)
        || matches!(text, "~" | "<<" | ".nan" | ".NaN" | ".NAN" | ".inf" | ".Inf" | ".INF")
        || matches!(text, "+.inf" | "+.Inf" | "+.INF" | "-.inf" | "-.Inf" | "-.INF")
}

fn is_number(text: &str) -> bool {
    let plain: String = text.chars().filter(|&c| c != '_').collect();
    let unsigned = plain.strip_prefix(['+', '-']).unwrap_or(&plain);
    let digits = |text: &str, radix: u32| !text.is_empty() && u64::from_str_radix(text, radix).is_ok();
    let lower = unsigned.to_ascii_lowercase();
    if let Some(rest) = lower.strip_prefix("0x") {
        return digits(rest, 16);
    }
    if let Some(rest) = lower.strip_prefix("0b") {
        return digits(rest, 2);
    }
    if let Some(rest) = lower.strip_prefix("0o") {
        return digits(rest, 8);
    }
    // A decimal number, or one with a point and an exponent: `[-+]?(\.[0-9]+|[0-9]+(\.[0-9]*)?)([eE][-+]?[0-9]+)?`.
    let run = |text: &str| text.bytes().take_while(u8::is_ascii_digit).count();
    let whole = run(unsigned);
    let rest = &unsigned[whole..];
    let (fraction, rest) = match rest.strip_prefix('.') {
        Some(rest) => (run(rest), &rest[run(rest)..]),
        None => (0, rest),
    };
    let rest = match rest.strip_prefix(['e', 'E']) {
        Some(rest) => {
            let exponent = rest.strip_prefix(['+', '-']).unwrap_or(rest);
            let len = run(exponent);
            if len == 0 {
                return false;
            }
            &exponent[len..]
        }
        None => rest,
    };
    rest.is_empty() && (whole > 0 || fraction > 0)
}

/// Numbers of YAML 1.1 such as `190:20:30`.
fn is_base60(text: &str) -> bool {
    let unsigned = text.strip_prefix(['+', '-']).unwrap_or(text);
    let mut parts = unsigned.split(':');
    let Some(first) = parts.next() else { return false };
    if !first.starts_with(|c: char| c.is_ascii_digit()) || !first.bytes().all(|b| b.is_ascii_digit() || b == b'_') {
        return false;
    }
    let mut rest: Vec<&str> = parts.collect();
    let Some(last) = rest.pop() else { return false };
    let last = match last.split_once('.') {
        Some((whole, fraction)) if fraction.bytes().all(|b| b.is_ascii_digit() || b == b'_') => whole,
        Some(_) => return false,
        None => last,
    };
    rest.push(last);
    rest.into_iter().all(|part| match part.as_bytes() {
        [digit] => digit.is_ascii_digit(),
        [tens, digit] => (b'0'..=b'5').contains(tens) && digit.is_ascii_digit(),
        _ => false,
    })
}

/// Dates, and dates with times, in the forms that go-yaml takes for times.
fn is_timestamp(text: &str) -> bool {
    // Four digits and a dash: anything else is no time, and needs no closer look.
    if !text.bytes().take(4).all(|byte| byte.is_ascii_digit()) || text.as_bytes().get(4) != Some(&b'-') {
        return false;
    }
    let split = text.find(['T', 't', ' ']);
    let (date, time) = split.map_or((text, None), |at| (&text[..at], Some((&text[at..=at], &text[at + 1..]))));
    let number = |text: &str, range: std::ops::RangeInclusive<u32>| {
        matches!(text.len(), 1 | 2)
            && text.bytes().all(|byte| byte.is_ascii_digit())
            && text.parse().is_ok_and(|number| range.contains(&number))
    };
    let mut parts = date[5..].split('-');
    let is_date = parts.next().is_some_and(|month| number(month, 1..=12))
        && parts.next().is_some_and(|day| number(day, 1..=31))
        && parts.next().is_none();
    let Some((separator, time)) = time else { return is_date };
    let (clock, has_zone) = match time.strip_suffix('Z') {
        Some(clock) => (clock, true),
        None => match time.rfind(['+', '-']) {
            Some(at) => match time[at + 1..].split_once(':') {
                Some((hours, minutes)) if hours.len() == 2 && number(hours, 0..=24) && number(minutes, 0..=60) => {
                    (&time[..at], true)
                }
                _ => return false,
            },
            None => (time, false),
        },
    };
    // With a space no zone may follow, with a letter one must.
    if has_zone == (separator == " ") {
        return false;
    }
    let (clock, fraction) = clock.split_once('.').unwrap_or((clock, "0"));
    let mut parts = clock.split(':');
    is_date
        && parts.next().is_some_and(|hours| number(hours, 0..=23))
        && parts.next().is_some_and(|minutes| number(minutes, 0..=59))
        && parts.next().is_some_and(|seconds| number(seconds, 0..=59))
        && parts.next().is_none()
        && !fraction.is_empty()
        && fraction.bytes().all(|byte| byte.is_ascii_digit())
}

/// A number as upstream writes it.
fn float(number: f64) -> String {
    let scientific = format!("{number:e}");
    let Some((digits, exponent)) = scientific.split_once('e') else { return scientific };
    let exponent: i32 = exponent.parse().unwrap_or_default();
    let count = digits.bytes().filter(u8::is_ascii_digit).count() as i32;
    let limit = if count > exponent + 1 { 21.min(count.max(6)) } else { 21 };
    go_float(number, G.start..limit, 2)
}

/// Sorts by what may be no order: the standard sort panics where three items each stand before the next.
fn merge_sort<T: Copy>(items: &[T], order: &impl Fn(T, T) -> Ordering) -> Vec<T> {
    if items.len() < 2 {
        return items.to_vec();
    }
    let (left, right) = items.split_at(items.len() / 2);
    let (left, right) = (merge_sort(left, order), merge_sort(right, order));
    let (mut left, mut right) = (left.into_iter().peekable(), right.into_iter().peekable());
    let mut sorted = Vec::with_capacity(items.len());
    while let (Some(&l), Some(&r)) = (left.peek(), right.peek()) {
        let next = if order(r, l).is_lt() { right.next() } else { left.next() };
        sorted.extend(next);
    }
    sorted.extend(left.chain(right));
    sorted
}

/// The order of keys, which is upstream's and none where digits and letters mix ("901", "9b", "09"): letters after other characters, digits by the number they make.
fn key_order(a: &str, b: &str) -> Ordering {
    if a == b {
        return Ordering::Equal;
    }
    let (left, right): (Vec<char>, Vec<char>) = (a.chars().collect(), b.chars().collect());
    let Some(at) = left.iter().zip(&right).position(|(a, b)| a != b) else { return left.len().cmp(&right.len()) };
    let (l, r) = (left[at], right[at]);
    match (l.is_alphabetic(), r.is_alphabetic()) {
        (true, true) => return l.cmp(&r),
        (true, false) => return Ordering::Greater,
        (false, true) => return Ordering::Less,
        (false, false) => {}
    }
    // A zero within a number counts; a leading one does not.
    let digits_before = left[..at].iter().rev().take_while(|c| c.is_numeric());
    let within_number = (l == '0' || r == '0') && digits_before.clone().any(|&c| c != '0');
    let number = |chars: &[char]| {
        let digits = chars[at..].iter().take_while(|c| c.is_ascii_digit());
        let start = i64::from(within_number);
        let value = digits
            .clone()
            .fold(start, |value, c| value.wrapping_mul(10).wrapping_add(i64::from(u32::from(*c) - u32::from('0'))));
        (value, digits.count())
    };
    number(&left).cmp(&number(&right)).then(l.cmp(&r))
}

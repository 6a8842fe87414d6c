//! Reads protobuf's text format, as far as the conformance files use it.

use std::str::FromStr;

/// What stands behind a field's name.
#[derive(Clone)]
pub(crate) enum Field {
    /// A message.
    Message(Message),
    /// A number or name.
    Word(String),
    /// Text, or bytes.
    Text(Vec<u8>),
}

impl std::fmt::Debug for Field {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Message(message) => message.fmt(f),
            Self::Word(word) => f.write_str(word),
            Self::Text(text) => String::from_utf8_lossy(text).fmt(f),
        }
    }
}

/// Fields in order; repeated ones stand several times.
#[derive(Debug, Clone, Default)]
pub(crate) struct Message(pub(crate) Vec<(String, Field)>);

impl Message {
    /// The first field `name`.
    pub(crate) fn get(&self, name: &str) -> Option<&Field> {
        self.0.iter().find(|(known, _)| known == name).map(|(_, field)| field)
    }

    /// The first field `name`, which is a message.
    pub(crate) fn message(&self, name: &str) -> Option<&Message> {
        match self.get(name) {
            Some(Field::Message(message)) => Some(message),
            _ => None,
        }
    }

    /// All fields `name`, which are messages.
    pub(crate) fn messages<'m>(&'m self, name: &'m str) -> impl Iterator<Item = &'m Message> {
        self.0.iter().filter_map(move |(known, field)| match field {
            Field::Message(message) if known == name => Some(message),
            _ => None,
        })
    }

    /// The first field `name`, which is text; empty if there is none.
    pub(crate) fn text(&self, name: &str) -> String {
        match self.get(name) {
            Some(Field::Text(text)) => String::from_utf8(text.clone()).expect("text is UTF-8"),
            _ => String::new(),
        }
    }

    /// The first field `name`, which is a number or truth value.
    pub(crate) fn word<T: FromStr>(&self, name: &str) -> Option<T> {
        match self.get(name) {
            Some(Field::Word(word)) => word.parse().ok(),
            _ => None,
        }
    }
}

/// Reads a whole file.
pub(crate) fn read(text: &str) -> Message {
    let mut reader = Reader { bytes: text.as_bytes(), at: 0 };
    let message = reader.message(None);
    assert_eq!(reader.at, reader.bytes.len(), "the whole file is read");
    message
}

struct Reader<'t> {
    bytes: &'t [u8],
    at: usize,
}

impl Reader<'_> {
    fn peek(&mut self) -> Option<u8> {
        loop {
            match self.bytes.get(self.at)? {
                b' ' | b'\t' | b'\r' | b'\n' | b',' | b';' => self.at += 1,
                b'#' => self.at += self.bytes[self.at..].iter().take_while(|byte| **byte != b'\n').count(),
                other => return Some(*other),
            }
        }
    }

    fn take(&mut self, symbol: u8) -> bool {
        let found = self.peek() == Some(symbol);
        self.at += usize::from(found);
        found
    }

    fn word(&mut self) -> String {
        self.peek();
        let length = self.bytes[self.at..]
            .iter()
            .take_while(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'-' | b'+' | b'.' | b'/'))
            .count();
        assert!(length > 0, "a word at byte {}", self.at);
        self.at += length;
        String::from_utf8(self.bytes[self.at - length..self.at].to_vec()).expect("ASCII")
    }

    fn message(&mut self, end: Option<u8>) -> Message {
        let mut fields = Vec::new();
        loop {
            match (self.peek(), end) {
                (None, None) => return Message(fields),
                (found, Some(end)) if found == Some(end) => {
                    self.at += 1;
                    return Message(fields);
                }
                _ => {}
            }
            let name = if self.take(b'[') {
                let name = self.word();
                assert!(self.take(b']'), "a closed name");
                name
            } else {
                self.word()
            };
            self.take(b':');
            if self.take(b'[') {
                while !self.take(b']') {
                    let value = self.value();
                    fields.push((name.clone(), value));
                }
            } else {
                let value = self.value();
                fields.push((name, value));
            }
        }
    }

    fn value(&mut self) -> Field {
        match self.peek() {
            Some(b'{') => {
                self.at += 1;
                Field::Message(self.message(Some(b'}')))
            }
            Some(b'<') => {
                self.at += 1;
                Field::Message(self.message(Some(b'>')))
            }
            Some(b'"' | b'\'') => {
                let mut text = Vec::new();
                while let Some(quote @ (b'"' | b'\'')) = self.peek() {
                    self.text(quote, &mut text);
                }
                Field::Text(text)
            }
            _ => Field::Word(self.word()),
        }
    }

    fn text(&mut self, quote: u8, out: &mut Vec<u8>) {
        self.at += 1;
        loop {
            let byte = self.bytes[self.at];
            self.at += 1;
            match byte {
                _ if byte == quote => return,
                b'\\' => self.escape(out),
                other => out.push(other),
            }
        }
    }

    fn escape(&mut self, out: &mut Vec<u8>) {
        let kind = self.bytes[self.at];
        self.at += 1;
        let simple = match kind {
            b'a' => 7,
            b'b' => 8,
            b'f' => 12,
            b'n' => b'\n',
            b'r' => b'\r',
            b't' => b'\t',
            b'v' => 11,
            b'x' => return out.push(u8::try_from(self.number(16, 2)).expect("a byte")),
            b'u' => return self.character(4, out),
            b'U' => return self.character(8, out),
            b'0'..=b'7' => {
                self.at -= 1;
                return out.push(u8::try_from(self.number(8, 3)).expect("a byte"));
            }
            other => other,
        };
        out.push(simple);
    }

    fn character(&mut self, digits: usize, out: &mut Vec<u8>) {
        let character = char::from_u32(self.number(16, digits)).expect("a character");
        out.extend_from_slice(character.encode_utf8(&mut [0; 4]).as_bytes());
    }

    fn number(&mut self, radix: u32, digits_max: usize) -> u32 {
        let mut number = 0;
        for _ in 0..digits_max {
            let Some(digit) = char::from(self.bytes[self.at]).to_digit(radix) else { break };
            number = number * radix + digit;
            self.at += 1;
        }
        number
    }
}

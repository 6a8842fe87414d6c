//! Moves over JSON: what stands where, and where it ends. Gives no meaning to it; `view` does.

use std::borrow::Cow;

use super::{decode, outline::Jump, scan::end_or_escape, view::ViewError};
use crate::{codec::FieldValidation, value::Value};

/// Where somebody is in a text.
pub(super) struct Reader<'de> {
    pub(super) json: &'de [u8],
    pub(super) at: usize,
    /// How many objects and arrays are open.
    pub(super) depth: usize,
    /// What is known of the places that come.
    jumps: &'de [Jump],
}

impl<'de> Reader<'de> {
    /// At the beginning of `json`, of which `jumps` are an outline.
    pub(super) fn new(json: &'de [u8], jumps: &'de [Jump]) -> Self {
        Self { json, at: 0, depth: 0, jumps }
    }

    /// The next byte that is no space, which is not taken.
    #[inline]
    pub(super) fn next(&mut self) -> Option<u8> {
        loop {
            match self.json.get(self.at) {
                Some(b' ' | b'\n' | b'\r' | b'\t') => self.at += 1,
                byte => return byte.copied(),
            }
        }
    }

    pub(super) fn bad(&self, wanted: &str) -> ViewError {
        ViewError(format!("expected {wanted} at byte {}", self.at))
    }

    pub(super) fn take(&mut self, byte: u8, wanted: &str) -> Result<(), ViewError> {
        if self.next() != Some(byte) {
            return Err(self.bad(wanted));
        }
        self.at += 1;
        Ok(())
    }

    pub(super) fn word(&mut self, word: &str) -> Result<(), ViewError> {
        if !self.json[self.at..].starts_with(word.as_bytes()) {
            return Err(self.bad(word));
        }
        self.at += word.len();
        Ok(())
    }

    /// Runs past the string that begins here. Says whether it has escapes.
    pub(super) fn skip_string(&mut self) -> Result<bool, ViewError> {
        let mut has_escapes = false;
        self.at += 1;
        loop {
            let Some(found) = self.json.get(self.at..).and_then(end_or_escape) else {
                return Err(self.bad("the end of a string"));
            };
            self.at += found + 1;
            if self.json[self.at - 1] == b'"' {
                return Ok(has_escapes);
            }
            has_escapes = true;
            self.at += 1;
        }
    }

    /// Takes a key with its colon; with the escapes that it has.
    pub(super) fn key(&mut self) -> Result<&'de [u8], ViewError> {
        if self.next() != Some(b'"') {
            return Err(self.bad("a key"));
        }
        let start = self.at + 1;
        self.skip_string()?;
        let key = &self.json[start..self.at - 1];
        self.take(b':', "a colon")?;
        Ok(key)
    }

    /// Takes the string that begins here.
    pub(super) fn string(&mut self) -> Result<Cow<'de, str>, ViewError> {
        let start = self.at;
        if self.skip_string()? {
            return match decode(&self.json[start..self.at], None, FieldValidation::Ignore) {
                Ok(decoded) => match decoded.value {
                    Value::String(text) => Ok(Cow::Owned(text.into())),
                    _ => Err(self.bad("a string")),
                },
                Err(error) => Err(ViewError(error.to_string())),
            };
        }
        match std::str::from_utf8(&self.json[start + 1..self.at - 1]) {
            Ok(text) => Ok(Cow::Borrowed(text)),
            Err(_) => Err(self.bad("UTF-8")),
        }
    }

    /// Where the number, or the word, that begins here ends.
    pub(super) fn scalar_end(&self) -> usize {
        let rest = &self.json[self.at..];
        let is_end = |byte: &u8| matches!(byte, b',' | b'}' | b']' | b' ' | b'\n' | b'\r' | b'\t');
        self.at + rest.iter().position(is_end).unwrap_or(rest.len())
    }

    /// Jumps to the end of the value that begins here, if the outline knows it.
    #[inline]
    fn jump(&mut self) -> bool {
        while let [first, rest @ ..] = self.jumps
            && first.start() <= self.at
        {
            self.jumps = rest;
            if first.start() == self.at {
                self.at = first.end();
                return true;
            }
        }
        false
    }

    /// Runs past the value that begins here.
    pub(super) fn skip(&mut self) -> Result<(), ViewError> {
        match self.next() {
            Some(b'"' | b'{' | b'[') if self.jump() => Ok(()),
            Some(b'"') => self.skip_string().map(drop),
            Some(b'{' | b'[') => self.skip_nested(),
            None | Some(b',' | b'}' | b']' | b':') => Err(self.bad("a value")),
            Some(_) => {
                self.at = self.scalar_end();
                Ok(())
            }
        }
    }

    /// Runs past the object or array that begins here.
    fn skip_nested(&mut self) -> Result<(), ViewError> {
        let mut open = 0_usize;
        while let Some(byte) = self.json.get(self.at) {
            match byte {
                b'"' => {
                    self.skip_string()?;
                    continue;
                }
                b'{' | b'[' => open += 1,
                b'}' | b']' if open == 1 => {
                    self.at += 1;
                    return Ok(());
                }
                b'}' | b']' => open -= 1,
                _ => {}
            }
            self.at += 1;
        }
        Err(self.bad("the end of a value"))
    }
}

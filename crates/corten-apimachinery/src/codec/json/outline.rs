//! `Outlined`: an object's JSON, with notes on where its large fields end.
//!
//! A dozen components read a few fields of each version of an object, most of them others than the rest: each would run past
//! nearly all of the text on its own. So whoever writes the text, or else the first who reads it, notes where the large fields
//! of the first two levels (`metadata`, `metadata.managedFields`, `spec`, `spec.containers`, ...) begin and end, and all
//! others jump. What they ask for is then nearly all they pay for, however many they are, and the notes are a few dozen bytes.
//!
//! Names are not noted, so that there is one order of fields to look through, that of the text: a view reads forward, and so
//! does `fields`, by which two versions are compared without being read.

use std::{fmt, ops::Deref, sync::OnceLock};

use bytes::Bytes;
use serde::Deserialize;

use super::{
    reader::Reader,
    view::{ViewError, view_of},
};

/// A field whose value has fewer bytes is not noted: running past it costs no more than looking for the note would.
const NOTED_MIN: usize = 64;

/// How many levels of fields are noted. Below the second stand lists' elements, which nobody leaves out.
const LEVELS: usize = 2;

/// JSON with an outline, which is made when it is first asked for unless the writer gave it.
#[derive(Clone, Default)]
pub struct Outlined {
    text: Bytes,
    jumps: OnceLock<Box<[Jump]>>,
}

impl Outlined {
    /// The text whose outline is known.
    pub(super) fn new(text: Bytes, jumps: Box<[Jump]>) -> Self {
        Self { text, jumps: jumps.into() }
    }

    /// Another text, which has its large fields in the same places if it is as long.
    pub(super) fn with(&self, text: Vec<u8>) -> Self {
        let jumps = if text.len() == self.text.len() { self.jumps.clone() } else { OnceLock::new() };
        Self { text: text.into(), jumps }
    }

    /// The text, to be shared.
    #[must_use]
    pub fn text(&self) -> &Bytes {
        &self.text
    }

    /// Reads it as `view` does.
    ///
    /// Errors: those of `view`.
    pub fn view<'de, T: Deserialize<'de>>(&'de self) -> Result<T, ViewError> {
        view_of(self.reader())
    }

    /// The values of some fields as they are written, of the object that `path` leads to from the root. Of a name that stands
    /// there twice the first counts; `None` for what is not there, and where the text is no JSON of an object.
    ///
    /// What is equal in two versions reads equal, so that who has read the one need not read the other.
    #[must_use]
    pub fn fields<const N: usize>(&self, path: &[&str], names: [&str; N]) -> [Option<&[u8]>; N] {
        let mut found = [None; N];
        // What is found before the text breaks off counts.
        let _ = find(&mut self.reader(), path, names, &mut found);
        found
    }

    fn reader(&self) -> Reader<'_> {
        Reader::new(&self.text, self.jumps.get_or_init(|| outline(&self.text)))
    }
}

fn find<'t, const N: usize>(
    reader: &mut Reader<'t>,
    path: &[&str],
    names: [&str; N],
    found: &mut [Option<&'t [u8]>; N],
) -> Result<(), ViewError> {
    for step in path {
        reader.take(b'{', "an object")?;
        while reader.key()? != step.as_bytes() {
            reader.skip()?;
            reader.take(b',', "a comma")?;
        }
    }
    reader.take(b'{', "an object")?;
    let mut missing = N;
    while missing > 0 && reader.next() != Some(b'}') {
        let key = reader.key()?;
        reader.next();
        let start = reader.at;
        reader.skip()?;
        let at = names.iter().position(|name| key == name.as_bytes());
        if let Some(place) = at.map(|at| &mut found[at])
            && place.is_none()
        {
            *place = Some(&reader.json[start..reader.at]);
            missing -= 1;
        }
        if reader.next() == Some(b',') {
            reader.at += 1;
        }
    }
    Ok(())
}

/// Where the large fields of a text are, in order.
fn outline(text: &[u8]) -> Box<[Jump]> {
    let mut jumps = Jumps::default();
    // Behind what is no JSON nothing is noted: who reads that far finds the fault.
    let _ = note(&mut Reader::new(text, &[]), 1, &mut jumps);
    jumps.finish()
}

/// Notes the fields of the object that begins here, which are of this level.
fn note(reader: &mut Reader<'_>, level: usize, jumps: &mut Jumps) -> Result<(), ViewError> {
    reader.take(b'{', "an object")?;
    while reader.next() != Some(b'}') {
        reader.key()?;
        let is_object = reader.next() == Some(b'{');
        let begun = jumps.begin(level, reader.at);
        let result = if is_object && level < LEVELS { note(reader, level + 1, jumps) } else { reader.skip() };
        match result {
            Ok(()) => jumps.end(begun, reader.at),
            Err(error) => {
                jumps.give_up(begun);
                return Err(error);
            }
        }
        if reader.next() == Some(b',') {
            reader.at += 1;
        }
    }
    reader.at += 1;
    Ok(())
}

/// From the first byte of a value to the one after its last.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Jump {
    start: u32,
    end: u32,
}

impl Jump {
    pub(super) fn start(self) -> usize {
        self.start as usize
    }

    pub(super) fn end(self) -> usize {
        self.end as usize
    }

    /// The same value after `count` bytes were put in at `at`.
    pub(super) fn after_insertion(self, at: usize, count: usize) -> Self {
        let moved = |place: u32, moves: bool| if moves { place + count as u32 } else { place };
        Self { start: moved(self.start, self.start() >= at), end: moved(self.end, self.end() > at) }
    }
}

/// An outline that is being made, in the order of the text.
#[derive(Debug, Default)]
pub(super) struct Jumps(smallvec::SmallVec<[Jump; 16]>);

/// A value that has begun.
#[derive(Debug, Clone, Copy)]
pub(super) struct Begun {
    slot: usize,
    is_noted: bool,
}

impl Jumps {
    /// A value of a field of this level, the first of which is 1, begins.
    pub(super) fn begin(&mut self, level: usize, start: usize) -> Begun {
        // Larger than any limit on requests: not noted.
        let begun = Begun { slot: self.0.len(), is_noted: level <= LEVELS && start < u32::MAX as usize };
        if begun.is_noted {
            self.0.push(Jump { start: start as u32, end: start as u32 });
        }
        begun
    }

    /// It ends here.
    pub(super) fn end(&mut self, begun: Begun, end: usize) {
        if !begun.is_noted {
            return;
        }
        let jump = &mut self.0[begun.slot];
        match u32::try_from(end) {
            Ok(end) if end - jump.start >= NOTED_MIN as u32 => jump.end = end,
            _ => self.give_up(begun),
        }
    }

    /// It does not end.
    fn give_up(&mut self, begun: Begun) {
        if begun.is_noted && begun.slot + 1 == self.0.len() {
            self.0.pop();
        } else if begun.is_noted {
            self.0.remove(begun.slot);
        }
    }

    /// The outline.
    pub(super) fn finish(self) -> Box<[Jump]> {
        self.0.into_boxed_slice()
    }
}

impl From<Bytes> for Outlined {
    fn from(text: Bytes) -> Self {
        Self { text, jumps: OnceLock::new() }
    }
}

impl From<String> for Outlined {
    fn from(text: String) -> Self {
        Bytes::from(text).into()
    }
}

impl From<&str> for Outlined {
    fn from(text: &str) -> Self {
        text.to_owned().into()
    }
}

impl Deref for Outlined {
    type Target = Bytes;

    fn deref(&self) -> &Bytes {
        &self.text
    }
}

impl PartialEq for Outlined {
    fn eq(&self, other: &Self) -> bool {
        self.text == other.text
    }
}

impl Eq for Outlined {}

impl fmt::Debug for Outlined {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.text.fmt(f)
    }
}

#[cfg(test)]
mod tests;

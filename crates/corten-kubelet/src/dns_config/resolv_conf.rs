//! The file format of `resolv.conf`, as the node's is read. A pod's is written by its container runtime.

use std::collections::{BTreeMap, btree_map::Entry};

/// What a `resolv.conf` says.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct ResolvConf {
    /// The `nameserver` lines, in order.
    pub nameservers: Vec<String>,
    /// The words of the last `search` line, without their trailing dots.
    pub searches: Vec<String>,
    /// The words of all `options` lines; a later one replaces an earlier one of the same name.
    pub options: Vec<String>,
}

/// A file that cannot be used.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum ParseError {
    /// A `nameserver` line without an address. The text is upstream's, blank included.
    #[error("nameserver list is empty ")]
    EmptyNameserver,
}

impl ResolvConf {
    /// Reads the text of a file. Unknown lines and comments are passed over; the root as a search domain says nothing and is dropped.
    pub fn parse(text: &str) -> Result<Self, ParseError> {
        let mut file = Self::default();
        let mut options = Vec::new();
        for line in text.lines().map(str::trim).filter(|line| !line.starts_with('#')) {
            let mut words = line.split_whitespace();
            match words.next() {
                Some("nameserver") => {
                    file.nameservers.push(words.next().ok_or(ParseError::EmptyNameserver)?.to_owned())
                }
                Some("search") => {
                    file.searches = words
                        .filter(|word| *word != ".")
                        .map(|word| word.strip_suffix('.').unwrap_or(word).to_owned())
                        .collect();
                }
                Some("options") => options.extend(words.map(str::to_owned)),
                _ => {}
            }
        }
        set_options(&mut file.options, options);
        Ok(file)
    }
}

/// Adds `more` one after the other, each in the place of one with the same name if there is one. Nothing bounds how many a
/// pod has.
pub(super) fn set_options(options: &mut Vec<String>, more: impl IntoIterator<Item = String>) {
    let places = options.iter().enumerate().map(|(place, option)| (option_name(option).to_owned(), place));
    let mut places: BTreeMap<String, usize> = places.collect();
    for option in more {
        match places.entry(option_name(&option).to_owned()) {
            Entry::Occupied(known) => options[*known.get()] = option,
            Entry::Vacant(new) => {
                new.insert(options.len());
                options.push(option);
            }
        }
    }
}

fn option_name(option: &str) -> &str {
    option.split_once(':').map_or(option, |(name, _)| name)
}

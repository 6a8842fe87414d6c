//! What is wrong with a text, in the words of go-yaml, and with its lines.
//!
//! go-yaml counts lines from 0, tells the line of what its scanner does not like by one more, that of what its parser does not
//! like as it is, and no line 0. Clients and their users know these lines.
//! Upstream: `fail` in decode.go, and scannerc.go and parserc.go, of go-yaml v2 as sigs.k8s.io/yaml has it (v1.35).

use serde_saphyr::{Error, Location, budget::BudgetBreach as Breach};

use super::{DEPTH_MAX, DecodeError, key};
use crate::codec::objects::Objects;

/// What the scanner says when a text ends within quotes.
const END_IN_QUOTES: &str = "found unexpected end of stream";

/// What the parser says where something else has to begin.
const NO_CONTENT: &str = "did not find expected node content";

/// What no token begins with, and what the scanner says of it.
const NO_TOKEN: &str = "found character that cannot start any token";

pub(super) fn refusal(text: &str, error: &Error, objects: &Objects) -> DecodeError {
    // The library keeps the error of a visitor as a text, but what is counted knows that there were too many.
    if let Some(too_many) = objects.refusal() {
        return too_many;
    }
    let excessive = || DecodeError::new("yaml: document contains excessive aliasing");
    let said = |what: &str| DecodeError::new(format!("yaml: {what}"));
    let anchor = || error.location().and_then(|at| alias_at(text, at)).unwrap_or_default();
    let what = match bare(error) {
        Error::AliasReplayCounterOverflow { .. }
        | Error::AliasReplayLimitExceeded { .. }
        | Error::AliasExpansionLimitExceeded { .. }
        | Error::AliasReplayStackDepthExceeded { .. } => return excessive(),
        Error::Budget { breach, .. } => match breach {
            Breach::Depth { .. } => too_deep(),
            Breach::Aliases { .. }
            | Breach::Anchors { .. }
            | Breach::AliasAnchorRatio { .. }
            | Breach::MergeKeys { .. }
            | Breach::RecordedAnchorEvents { .. }
            | Breach::RecordedAnchorBytes { .. } => return excessive(),
            _ => "document is too large".to_owned(),
        },
        Error::UnknownAnchor { .. } => return said(&format!("unknown anchor '{}' referenced", anchor())),
        Error::RecursiveReferencesRequireWeakTypes { .. } => {
            return said(&format!("anchor '{}' value contains itself", anchor()));
        }
        Error::MergeValueNotMapOrSeqOfMaps { .. } => {
            return said("map merge requires map or sequence of maps as the value");
        }
        Error::NonFiniteFloat { value, .. } => return DecodeError::new(format!("json: unsupported value: {value}")),
        other => {
            let shown = other.to_string();
            if let Some(invalid_key) = key::refusal_in(&shown) {
                return said(invalid_key);
            }
            words(text, &shown)
        }
    };
    let at = error.location().map_or(0, |at| usize::try_from(at.line()).unwrap_or(usize::MAX));
    // Behind the last line there is no indentation that could be wrong.
    let is_behind = what == "invalid indentation in multiline quoted scalar" && at > text.lines().count();
    let what = if is_behind { END_IN_QUOTES.to_owned() } else { what };
    let line = match &*what {
        END_IN_QUOTES => text.matches('\n').count() + 1,
        // Both are the line behind the last one, of which the parser tells the number.
        _ if is_cut_short(error) => text.lines().count() + 1,
        _ => at,
    };
    match if is_of_parser(&what) { line.saturating_sub(1) } else { line } {
        0 => said(&what),
        1 if !is_of_parser(&what) => said(&what),
        line => said(&format!("line {line}: {what}")),
    }
}

/// The line of the tab, if it is one, that the first document begins with. The library takes it for space; go-yaml takes a tab
/// for space only where nothing can begin that its column would matter to.
pub(super) fn leading_tab(text: &str) -> Option<DecodeError> {
    let text = text.strip_prefix('\u{feff}').unwrap_or(text);
    for (line, rest) in text.lines().map(|line| line.trim_start_matches(' ')).enumerate() {
        match rest.as_bytes().first() {
            None | Some(b'#') => {}
            Some(b'\t') if line == 0 => return Some(DecodeError::new(format!("yaml: {NO_TOKEN}"))),
            Some(b'\t') => return Some(DecodeError::new(format!("yaml: line {}: {NO_TOKEN}", line + 1))),
            Some(_) => return None,
        }
    }
    None
}

/// The error itself, and not that of the alias through which it was met.
fn bare(error: &Error) -> &Error {
    match error {
        Error::WithSnippet { error, .. } | Error::AliasError { error, .. } => bare(error),
        error => error,
    }
}

/// The name of the alias that stands somewhere in a text.
fn alias_at(text: &str, at: Location) -> Option<&str> {
    let line = text.lines().nth(usize::try_from(at.line()).ok()?.checked_sub(1)?)?;
    let column = usize::try_from(at.column()).ok()?.checked_sub(1)?;
    let (start, _) = line.char_indices().nth(column)?;
    let name = line[start..].strip_prefix('*')?;
    let is_of_name = |c: char| c.is_ascii_alphanumeric() || matches!(c, '_' | '-');
    Some(&name[..name.find(|c| !is_of_name(c)).unwrap_or(name.len())])
}

fn too_deep() -> String {
    format!("exceeded max depth of {DEPTH_MAX}")
}

/// Whether the text ends within brackets.
fn is_cut_short(error: &Error) -> bool {
    bare(error).to_string().starts_with("unclosed bracket")
}

/// Whether the parser says so, and not the scanner.
fn is_of_parser(what: &str) -> bool {
    const WORDS: [&str; 6] = [
        NO_CONTENT,
        "did not find expected '-' indicator",
        "did not find expected key",
        "did not find expected ','",
        "did not find expected <",
        "found undefined tag handle",
    ];
    WORDS.iter().any(|word| what.starts_with(word))
}

/// What the scanner and parser say, without the place and what they were doing, where go-yaml says it differently.
fn words(text: &str, shown: &str) -> String {
    let line = shown.lines().next().unwrap_or_default();
    let what = line.rsplit_once(" at line ").map_or(line, |(what, _)| what);
    let what = if what.starts_with("while ") { what.split_once(", ").map_or(what, |(_, what)| what) } else { what };
    // Behind a bracket or comma something has to come, and only behind that the bracket.
    let is_open = || text.trim_end().ends_with(['[', '{', ',']);
    let said = match what {
        "unclosed bracket '['" | "unclosed bracket '{'" | "misplaced bracket" if is_open() => NO_CONTENT,
        "unclosed bracket '['" | "expected ',' or ']'" => "did not find expected ',' or ']'",
        "unclosed bracket '{'" => "did not find expected ',' or '}'",
        "misplaced bracket" => NO_CONTENT,
        "unclosed quote" => END_IN_QUOTES,
        "simple key expected ':'" | "simple key is no longer valid" => "could not find expected ':'",
        "a block scalar content cannot start with a tab" => {
            "found a tab character where an indentation space is expected"
        }
        "found a tab" => "found a tab character that violates indentation",
        "recursion limit exceeded" => return too_deep(),
        _ if what.starts_with("unexpected character") || what.starts_with("tab") => NO_TOKEN,
        _ if what.starts_with("invalid trailing content after") => "did not find expected key",
        _ => what,
    };
    said.to_owned()
}

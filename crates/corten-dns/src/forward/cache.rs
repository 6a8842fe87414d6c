//! What resolvers said, for as long as they said, in a bounded number of entries and bytes.
//!
//! When full, what would end first goes first: it is worth the least.

use std::{collections::BTreeMap, sync::Arc, time::Duration};

use super::{Answer, ForwardError, Shared};
use crate::message::{UpstreamReply, upstream::Question};

/// Entries live at most this long: what `CoreDNS` gives to what exists.
const MAX_POSITIVE: Duration = Duration::from_secs(3_600);
/// The same for what does not exist.
const MAX_NEGATIVE: Duration = Duration::from_secs(1_800);
/// A failure is remembered shortly, so that clients that ask again do not pile up (RFC 9520).
const FAILURE: Duration = Duration::from_secs(1);
/// An entry takes this many bytes on average at most; a zone full of huge records does not get more room than others.
const BYTES_PER_ENTRY: usize = 1_024;

/// Replies by question.
#[derive(Debug)]
pub struct Cache {
    entries: BTreeMap<Question, Entry>,
    /// Who ends when; the number keeps equal times apart.
    ends: BTreeMap<(Duration, u64), Question>,
    sequence: u64,
    bytes: usize,
    max_entries: usize,
}

#[derive(Debug)]
struct Entry {
    /// `None`: nobody replied.
    reply: Option<Arc<UpstreamReply>>,
    since: Duration,
    end: (Duration, u64),
}

impl Cache {
    /// An empty cache for at most `max_entries` replies; zero keeps nothing.
    #[must_use]
    pub fn new(max_entries: usize) -> Self {
        Self { entries: BTreeMap::new(), ends: BTreeMap::new(), sequence: 0, bytes: 0, max_entries }
    }

    /// How many entries there are.
    #[must_use]
    pub fn len(&self) -> usize {
        self.entries.len()
    }

    /// Whether there are none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.entries.is_empty()
    }

    /// What is known at `now`.
    #[must_use]
    pub fn get(&self, question: &Question, now: Duration) -> Option<Shared> {
        let entry = self.entries.get(question).filter(|entry| now < entry.end.0)?;
        let age = u32::try_from((now - entry.since).as_secs()).unwrap_or(u32::MAX);
        let reply = entry.reply.clone().ok_or(ForwardError::NoReply);
        Some(reply.map(|reply| Answer { reply, age }))
    }

    /// Keeps `reply`, if it may be kept, and says how many entries had to go before their time.
    pub fn insert(&mut self, question: &Question, reply: &Shared, now: Duration) -> u64 {
        let (reply, life) = match reply {
            Ok(answer) if !answer.reply.is_conclusive() => (Some(Arc::clone(&answer.reply)), FAILURE),
            Ok(answer) => {
                let Some(seconds) = answer.reply.seconds_to_live() else { return 0 };
                let max = if answer.reply.is_negative() { MAX_NEGATIVE } else { MAX_POSITIVE };
                (Some(Arc::clone(&answer.reply)), Duration::from_secs(u64::from(seconds)).min(max))
            }
            Err(ForwardError::NoReply) => (None, FAILURE),
            Err(ForwardError::NoResolver) => return 0,
        };
        self.remove(question);
        self.drop_ended(now);
        self.bytes += size(reply.as_deref());
        self.sequence += 1;
        let end = (now + life, self.sequence);
        self.ends.insert(end, *question);
        self.entries.insert(*question, Entry { reply, since: now, end });
        self.make_room()
    }

    fn drop_ended(&mut self, now: Duration) {
        while let Some((&(end, _), question)) = self.ends.first_key_value() {
            if end > now {
                return;
            }
            let question = *question;
            self.remove(&question);
        }
    }

    fn make_room(&mut self) -> u64 {
        let mut gone = 0;
        while self.entries.len() > self.max_entries || self.bytes > self.max_entries * BYTES_PER_ENTRY {
            let question = *self.ends.first_key_value().expect("every entry has an end").1;
            self.remove(&question);
            gone += 1;
        }
        gone
    }

    fn remove(&mut self, question: &Question) {
        if let Some(entry) = self.entries.remove(question) {
            self.ends.remove(&entry.end);
            self.bytes -= size(entry.reply.as_deref());
        }
    }
}

/// What an entry holds, beside the question twice.
fn size(reply: Option<&UpstreamReply>) -> usize {
    2 * size_of::<Question>() + reply.map_or(0, UpstreamReply::bytes)
}

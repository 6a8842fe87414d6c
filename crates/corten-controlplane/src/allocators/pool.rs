//! Numbers below a bound, each free or owned. Pure.

use std::collections::BTreeMap;

use corten_apimachinery::value::Str;

/// Numbers `0..size`.
#[derive(Debug)]
pub(super) struct Pool {
    size: u64,
    /// Below it are the numbers that users mostly choose themselves: handed out last. Source: KEP-3070.
    chosen_by_hand: u64,
    owners: BTreeMap<u64, Str>,
}

impl Pool {
    pub(super) fn new(size: u64, chosen_by_hand: u64) -> Self {
        Self { size, chosen_by_hand: chosen_by_hand.min(size), owners: BTreeMap::new() }
    }

    pub(super) fn size(&self) -> u64 {
        self.size
    }

    /// How many numbers are taken.
    pub(super) fn taken(&self) -> u64 {
        self.owners.len() as u64
    }

    /// Takes `number`, which is below the size. Returns whether it was free.
    pub(super) fn take(&mut self, number: u64, owner: &str) -> bool {
        debug_assert!(number < self.size);
        let is_free = !self.owners.contains_key(&number);
        if is_free {
            self.owners.insert(number, owner.into());
        }
        is_free
    }

    /// Takes a free number, `None` if there is none. `below` draws a number below its argument: the search starts there,
    /// so that a number that was just given back is not handed out again at once.
    pub(super) fn take_any(&mut self, owner: &str, below: impl Fn(u64) -> u64) -> Option<u64> {
        let found =
            [(self.chosen_by_hand, self.size), (0, self.chosen_by_hand)].into_iter().find_map(|(from, to)| {
                let start = from + below((to - from).max(1));
                self.first_free(start, to).or_else(|| self.first_free(from, start))
            })?;
        self.owners.insert(found, owner.into());
        Some(found)
    }

    fn first_free(&self, from: u64, to: u64) -> Option<u64> {
        if from >= to {
            return None;
        }
        let mut free = from;
        for &taken in self.owners.range(from..to).map(|(number, _)| number) {
            if taken != free {
                break;
            }
            free += 1;
        }
        (free < to).then_some(free)
    }

    /// Who has `number`.
    pub(super) fn owner(&self, number: u64) -> Option<&str> {
        self.owners.get(&number).map(Str::as_str)
    }

    /// All that are taken, with who has them.
    pub(super) fn owners(&self) -> impl Iterator<Item = (u64, &Str)> {
        self.owners.iter().map(|(&number, owner)| (number, owner))
    }

    /// Gives `number` to `owner`, whoever had it.
    pub(super) fn assign(&mut self, number: u64, owner: &str) {
        debug_assert!(number < self.size);
        self.owners.insert(number, owner.into());
    }

    /// Gives back `number` if `owner` has it.
    pub(super) fn release(&mut self, number: u64, owner: &str) {
        if self.owners.get(&number).is_some_and(|has| has == owner) {
            self.owners.remove(&number);
        }
    }
}

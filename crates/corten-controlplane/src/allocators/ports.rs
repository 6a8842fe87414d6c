//! The ports that are open on every node. Pure.
//!
//! Upstream: pkg/registry/core/service/portallocator (v1.35).

use corten_apimachinery::value::Str;

use super::pool::Pool;

/// Why a port that somebody has is not given.
pub(super) const ALLOCATED: &str = "provided port is already allocated";

/// Node ports.
#[derive(Debug)]
pub(super) struct Ports {
    first: u16,
    last: u16,
    pool: Pool,
}

impl Ports {
    pub(super) fn new((first, last): (u16, u16)) -> Self {
        let size = u64::from(last.saturating_sub(first)) + 1;
        let chosen_by_hand = if size < 16 { 0 } else { (size / 32).clamp(16, 128) };
        Self { first, last, pool: Pool::new(size, chosen_by_hand) }
    }

    fn offset(&self, port: i64) -> Option<u64> {
        let offset = u64::try_from(port.checked_sub(self.first.into())?).ok()?;
        (offset < self.pool.size()).then_some(offset)
    }

    /// Takes `port`.
    ///
    /// Errors: in upstream's words.
    pub(super) fn take(&mut self, port: i64, owner: &str) -> Result<(), String> {
        let Some(offset) = self.offset(port) else {
            return Err(format!(
                "provided port is not in the valid range. The range of valid ports is {}-{}",
                self.first, self.last
            ));
        };
        if self.pool.take(offset, owner) { Ok(()) } else { Err(ALLOCATED.to_owned()) }
    }

    pub(super) fn take_any(&mut self, owner: &str, below: impl Fn(u64) -> u64) -> Result<i64, String> {
        let offset = self.pool.take_any(owner, below).ok_or("range is full")?;
        Ok(self.at(offset))
    }

    /// How many there are.
    pub(super) fn size(&self) -> u64 {
        self.pool.size()
    }

    /// How many are taken.
    pub(super) fn taken(&self) -> u64 {
        self.pool.taken()
    }

    /// The first and the last.
    pub(super) fn range(&self) -> (u16, u16) {
        (self.first, self.last)
    }

    /// Whether `port` is one of them.
    pub(super) fn has(&self, port: i64) -> bool {
        self.offset(port).is_some()
    }

    /// Who has `port`.
    pub(super) fn owner(&self, port: i64) -> Option<&str> {
        self.pool.owner(self.offset(port)?)
    }

    /// All that are taken, with who has them.
    pub(super) fn owners(&self) -> impl Iterator<Item = (i64, Str)> {
        self.pool.owners().map(|(offset, owner)| (self.at(offset), owner.clone()))
    }

    /// Gives `port` to `owner`, whoever had it.
    pub(super) fn assign(&mut self, port: i64, owner: &str) {
        if let Some(offset) = self.offset(port) {
            self.pool.assign(offset, owner);
        }
    }

    fn at(&self, offset: u64) -> i64 {
        i64::from(self.first) + i64::try_from(offset).expect("a port has 16 bits")
    }

    pub(super) fn release(&mut self, port: i64, owner: &str) {
        if let Some(offset) = self.offset(port) {
            self.pool.release(offset, owner);
        }
    }
}

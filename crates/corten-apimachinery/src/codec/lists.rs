//! Lists that are written item by item: what stands around and between the items, in every encoding.
//!
//! A list of all pods is hundreds of megabytes: nobody who sends one should have to hold more than a piece of it.
//! Upstream: streaming of collections in k8s.io/apimachinery/pkg/runtime/serializer/{json,protobuf} (v1.35).

use bytes::Bytes;

/// What stands around the items of a list, and between any two.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Around {
    /// Before the first.
    pub before: Bytes,
    /// Between two.
    pub between: Bytes,
    /// Behind the last.
    pub after: Bytes,
}

impl Around {
    /// Cuts `whole`, a list without items, where `gap` is, which stands there for none: its `open` half stays before the items,
    /// and its `close` half behind them. `None` if there is no such place.
    pub(super) fn cut(whole: &Bytes, gap: &[u8], (open, close): (&[u8], &[u8])) -> Option<Self> {
        let at = memchr::memmem::rfind(whole, gap)?;
        let before = [&whole[..at], open].concat();
        let after = [close, &whole[at + gap.len()..]].concat();
        Some(Self { before: before.into(), between: Bytes::new(), after: after.into() })
    }
}

#[cfg(test)]
mod tests;

//! Room on the stack for trees that are nested as deeply as a client likes.
//!
//! What walks a tree calls itself for each level. Upstream runs on stacks that grow to a gigabyte; threads here have two
//! megabytes. So there are two rules (docs/adr/008): a request that brings or changes something deep is answered as a whole
//! on a stack that is large enough for any walk (`deep`), and what meets trees also elsewhere (decoders, encoders, equality,
//! drop) makes sure of its room by itself (`with_room`). Both map memory only when it is needed and give it back at their
//! end.

/// What is left at least for a few levels of a walk and for whatever these call.
const ROOM_BYTES: usize = 256 * 1024;

/// What a walk gets that has come to the end of its stack: a thousand levels and more.
const SEGMENT_BYTES: usize = 8 << 20;

/// Room for `json::DEPTH_MAX` levels of any walk: some of them need a few kilobytes for each. It is only address space
/// until it is used.
const DEEP_BYTES: usize = 256 << 20;

/// Down to so many levels every thread has room for every walk: three times the deepest type of the API that is no schema.
pub const SHALLOW: usize = 200;

/// Does `work`, which walks a few levels further, where there is room for them.
#[inline]
pub fn with_room<T>(work: impl FnOnce() -> T) -> T {
    stacker::maybe_grow(ROOM_BYTES, SEGMENT_BYTES, work)
}

/// Whether `with_room` would not stay on this stack.
#[inline]
pub(crate) fn is_low() -> bool {
    stacker::remaining_stack().is_none_or(|left| left < ROOM_BYTES)
}

/// Does `work` where there is room for any walk over the deepest tree.
pub fn deep<T>(work: impl FnOnce() -> T) -> T {
    stacker::maybe_grow(DEEP_BYTES / 2, DEEP_BYTES, work)
}

/// Whether there is room here for any walk over the deepest tree.
#[must_use]
pub fn is_for_depth() -> bool {
    stacker::remaining_stack().is_some_and(|left| left >= DEEP_BYTES / 2)
}

/// Does `work`, as `deep` does if what it is about is deep.
#[inline]
pub fn deep_if<T>(is_deep: bool, work: impl FnOnce() -> T) -> T {
    if is_deep { deep(work) } else { work() }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        codec::{FieldValidation, cbor, json, yaml},
        value::Value,
    };

    fn nested(open: &str, close: &str, depth: usize) -> Value {
        let text = format!("{}1{}", open.repeat(depth), close.repeat(depth));
        json::decode(text.as_bytes(), None, FieldValidation::Ignore).unwrap().value
    }

    /// On a thread with less stack than any that Corten has.
    fn on_a_small_stack(work: impl FnOnce() + Send + 'static) {
        std::thread::Builder::new().stack_size(512 * 1024).spawn(work).unwrap().join().unwrap();
    }

    /// The process ended with them.
    #[test]
    fn deep_trees_are_read_compared_written_and_dropped_on_any_thread() {
        on_a_small_stack(|| {
            for (open, close) in [("[", "]"), (r#"{"a":"#, "}"), (r#"{"a":["#, "]}")] {
                let levels = open.matches(['[', '{']).count();
                let tree = nested(open, close, json::DEPTH_MAX / levels);
                let mut other = nested(open, close, json::DEPTH_MAX / levels);
                assert_eq!(tree, other);
                assert!(crate::value::semantically_equal(Some(&tree), Some(&other)));
                let json = json::encode(&tree, None);
                assert_eq!(json.len(), (open.len() + close.len()) * (json::DEPTH_MAX / levels) + 1);
                assert!(cbor::encode(&tree).len() > json::DEPTH_MAX);
                drop(yaml::encode(&tree));
                // A copy on write copies one level, the rest is shared until both are gone.
                let copy = other.clone();
                if let Some(items) = other.as_array_mut() {
                    items.push(Value::Null);
                }
                drop((tree, other));
                drop(copy);
            }
        });
    }

    #[test]
    fn a_deep_walk_has_its_room() {
        fn walk(levels: usize) -> usize {
            // More than a level of any walk needs.
            let frame = std::hint::black_box([0_u8; 8 * 1024]);
            if levels == 0 { frame.len() } else { walk(levels - 1) }
        }
        on_a_small_stack(|| {
            assert!(!is_for_depth());
            assert_eq!(deep(|| walk(json::DEPTH_MAX)), 8 * 1024);
            assert!(deep(is_for_depth) && !is_for_depth());
        });
        on_a_small_stack(|| assert_eq!(deep_if(false, || walk(10)), 8 * 1024));
    }
}

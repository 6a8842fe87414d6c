//! Scratch to write in that a thread keeps: what is written is copied to its own place at once, which is as large as it has to be.

use std::cell::Cell;

/// A typical pod has about 2.5 KB.
const CAPACITY: usize = 4 * 1024;

/// What has grown larger is given back.
const KEPT_MAX: usize = 64 * 1024;

thread_local!(static SCRATCH: Cell<Vec<u8>> = const { Cell::new(Vec::new()) });

/// Gives `write` an empty vector that has room. Within it there is another one.
pub(crate) fn with_scratch<T>(write: impl FnOnce(&mut Vec<u8>) -> T) -> T {
    let mut scratch = SCRATCH.take();
    scratch.clear();
    scratch.reserve(CAPACITY);
    let written = write(&mut scratch);
    if scratch.capacity() <= KEPT_MAX {
        SCRATCH.set(scratch);
    }
    written
}

#[cfg(test)]
mod tests {
    use super::{KEPT_MAX, SCRATCH, with_scratch};

    #[test]
    fn scratch_is_empty_and_used_again_unless_it_is_large() {
        let first = with_scratch(|scratch| {
            scratch.push(1);
            with_scratch(|other| assert!(other.is_empty()));
            scratch.as_ptr().addr()
        });
        with_scratch(|scratch| {
            assert_eq!((scratch.as_ptr().addr(), scratch.len()), (first, 0));
            scratch.resize(KEPT_MAX + 1, 0);
        });
        assert_eq!(SCRATCH.take().capacity(), 0);
    }
}

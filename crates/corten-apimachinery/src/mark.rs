//! A number for a name, for tables that are searched by name: numbers are compared at once, texts by a call.

/// A number that few names share: of their beginning, their end and their length.
#[inline]
pub(crate) fn mark(name: &str) -> u64 {
    let bytes = name.as_bytes();
    let word = match (bytes.first_chunk(), bytes.last_chunk()) {
        (Some(first), Some(last)) => u64::from_le_bytes(*first) ^ u64::from_le_bytes(*last).rotate_left(29),
        _ => match (bytes.first_chunk(), bytes.last_chunk()) {
            (Some(first), Some(last)) => {
                u64::from(u32::from_le_bytes(*first)) << 32 | u64::from(u32::from_le_bytes(*last))
            }
            _ => bytes.iter().fold(0, |word, byte| word << 8 | u64::from(*byte)),
        },
    };
    word ^ (bytes.len() as u64) << 56
}

/// A place among `count`, a power of two, for a mark: its bits are spread by a product, of which the upper ones are the good ones.
#[inline]
pub(crate) fn scattered(mark: u64, count: usize) -> usize {
    // 2^64 by the golden ratio.
    const SPREAD: u64 = 0x9e37_79b9_7f4a_7c15;
    (mark.wrapping_mul(SPREAD) >> 32) as usize & (count - 1)
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::mark;

    #[test]
    fn names_that_differ_a_little_have_marks_of_their_own() {
        let mut names: BTreeMap<u64, String> = BTreeMap::new();
        let words =
            ["", "a", "b", "ab", "ba", "aab", "abb", "podIP", "podIPs", "hostIPs", "hostPID", "hostPath", "rootPath"];
        let long = ["terminationMessagePath", "terminationMessagePolicy", "initContainers", "containers", "metadata"];
        for name in words.into_iter().chain(long) {
            assert_eq!(names.insert(mark(name), name.to_owned()), None, "{name}");
        }
    }
}

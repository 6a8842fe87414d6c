//! Memory that the allocator keeps for later.
//!
//! What was allocated in small pieces stays with the process when it is freed: what was needed for a moment would count for
//! ever, also where the machine is short of memory.

/// Gives the system back what the allocator holds and nobody uses. Takes some milliseconds for each hundred megabytes, in
/// which others wait who allocate: for threads that may be busy, after something large has ended.
pub fn give_back() {
    #[cfg(target_env = "gnu")]
    {
        unsafe extern "C" {
            fn malloc_trim(pad: usize) -> std::ffi::c_int;
        }
        // SAFETY: it demands nothing of its caller, and no pointer that is in use becomes invalid by it.
        unsafe {
            malloc_trim(0);
        }
    }
}

#[cfg(all(test, target_os = "linux", target_env = "gnu"))]
mod tests {
    use super::give_back;

    fn resident_bytes() -> usize {
        let status = std::fs::read_to_string("/proc/self/status").unwrap();
        let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).unwrap();
        line.trim().trim_end_matches(" kB").parse::<usize>().unwrap() * 1024
    }

    /// Some bodies of a million objects each left the process with half a gigabyte.
    #[test]
    fn what_was_freed_in_pieces_is_given_back() {
        const PIECES: usize = 64 * 1024;
        const PIECE_BYTES: usize = 1024;
        let mut pieces: Vec<Vec<u8>> = (0..PIECES).map(|_| vec![1; PIECE_BYTES]).collect();
        let last = pieces.pop();
        drop(pieces);
        let held = resident_bytes();
        give_back();
        let left = resident_bytes();
        assert!(left + PIECES * PIECE_BYTES / 2 < held, "{left} of {held} are left");
        drop(last);
    }
}

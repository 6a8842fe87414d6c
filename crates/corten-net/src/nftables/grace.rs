//! Waiting until no packet is on its way through rules of before.

/// The kernel's number of "all threads of the system pass a barrier", Linux `include/uapi/linux/membarrier.h`.
const MEMBARRIER_CMD_GLOBAL: libc::c_int = 1;

/// Waits (some milliseconds) until each packet that was being looked at when this was called is done with. Rules, and the
/// sets they look into, are read in sections that the kernel's RCU waits for, and so does this system call.
///
/// Returns whether the kernel could wait: not with `nohz_full`, and not where system calls are filtered that far.
pub fn wait_for_packets() -> bool {
    // SAFETY: membarrier(2) takes a command and flags by value, and touches no memory of the process.
    let result = unsafe { libc::syscall(libc::SYS_membarrier, MEMBARRIER_CMD_GLOBAL, 0, 0) };
    result == 0
}

#[cfg(test)]
mod tests {
    #[test]
    fn waiting_ends() {
        let could_wait = super::wait_for_packets();
        println!("the kernel could wait: {could_wait}");
    }
}

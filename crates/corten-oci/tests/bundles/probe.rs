//! Programs that run inside a container: calls that busybox does not make.

use std::process::ExitCode;

pub(crate) fn run(args: &[String]) -> ExitCode {
    match args.first().map(String::as_str) {
        Some("clone3") => {
            // SAFETY: a null argument block is refused before anything happens.
            let result = unsafe { libc::syscall(libc::SYS_clone3, std::ptr::null::<u8>(), 0) };
            println!("{result} {}", nix::errno::Errno::last());
        }
        Some("keyctl") => {
            // SAFETY: asks for a number.
            let result = unsafe { libc::syscall(libc::SYS_keyctl, 0, 0, 0) };
            println!("{result} {}", nix::errno::Errno::last());
        }
        Some("eat") => {
            // Touches memory until it is killed.
            let mut eaten: Vec<Vec<u8>> = Vec::new();
            loop {
                eaten.push(vec![1; 1 << 20]);
            }
        }
        Some("is-read-only") => {
            let stat = nix::sys::statvfs::statvfs(args[1].as_str()).expect("the path exists");
            println!("{}", stat.flags().contains(nix::sys::statvfs::FsFlags::ST_RDONLY));
        }
        other => {
            println!("unknown probe {other:?}");
            return ExitCode::FAILURE;
        }
    }
    ExitCode::SUCCESS
}

//! Programs that run inside a container: calls that busybox does not make.

use std::process::ExitCode;

pub fn run(args: &[String]) -> ExitCode {
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
        Some("overwrite-runtime") => {
            // What CVE-2019-5736 did: write to the executable that entered the container.
            match std::fs::OpenOptions::new().write(true).open(&args[1]) {
                Ok(_) => println!("open for writing"),
                Err(error) => println!("{:?}", error.raw_os_error().map(nix::errno::Errno::from_raw)),
            }
        }
        other => {
            println!("unknown probe {other:?}");
            return ExitCode::FAILURE;
        }
    }
    ExitCode::SUCCESS
}

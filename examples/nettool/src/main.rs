//! `nslookup`, `wget` and `nc` for test images, in one static binary that chooses by the name it is called.
//!
//! Why: a static C library loads shared ones to resolve names, so that statically linked busyboxes crash or fail in
//! applets that do. This program reads `/etc/hosts` and `/etc/resolv.conf` and asks the servers itself, with search
//! domains and `ndots`, as a pod's programs are supposed to. Output and messages follow busybox 1.28.

#![forbid(unsafe_code)]
#![expect(clippy::print_stdout, clippy::print_stderr, reason = "a command line tool prints")]

mod dns;
mod nc;
mod nslookup;
mod resolver;
mod wget;

use std::path::Path;
use std::process::ExitCode;

fn main() -> ExitCode {
    let mut arguments: Vec<String> = std::env::args_os().map(|word| word.to_string_lossy().into_owned()).collect();
    // Called as `nettool APPLET ...` it takes the applet from the next word.
    if arguments.first().is_some_and(|name| base_name(name) == "nettool") {
        arguments.remove(0);
    }
    let Some((name, arguments)) = arguments.split_first() else { return usage() };
    let result = match base_name(name) {
        "nslookup" => nslookup::run(arguments),
        "wget" => wget::run(arguments),
        "nc" => nc::run(arguments),
        _ => return usage(),
    };
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(message) => {
            eprintln!("{}: {message}", base_name(name));
            ExitCode::FAILURE
        }
    }
}

fn base_name(name: &str) -> &str {
    Path::new(name).file_name().and_then(|name| name.to_str()).unwrap_or_default()
}

fn usage() -> ExitCode {
    eprintln!(
        "usage: nettool nslookup NAME [SERVER] | wget [-q] [-S] [-O FILE] [-T SECONDS] [--spider] URL | nc [-z] [-w SECONDS] HOST PORT | nc -l -p PORT"
    );
    ExitCode::FAILURE
}

//! `nslookup NAME [SERVER]` for test images, with the output and the exit codes of busybox 1.28.
//!
//! Why: since 1.29 busybox's own fails for a name that was found, when any search domain or record type was not. Scripts
//! in pods loop on its exit code. This one reads `/etc/hosts` and `/etc/resolv.conf` and asks the servers itself, with
//! search domains and `ndots`, so that it needs no library in the image.

#![forbid(unsafe_code)]
#![expect(clippy::print_stdout, clippy::print_stderr, reason = "a command line tool prints")]

mod dns;
mod resolver;

use std::net::{IpAddr, SocketAddr};
use std::process::ExitCode;

use crate::resolver::Resolver;

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args_os().skip(1).map(|word| word.to_string_lossy().into_owned()).collect();
    match run(&arguments) {
        Ok(()) => ExitCode::SUCCESS,
        Err(message) => {
            eprintln!("nslookup: {message}");
            ExitCode::FAILURE
        }
    }
}

/// Looks up a name or an address; an error when it is not known.
fn run(arguments: &[String]) -> Result<(), String> {
    let (name, server) = match arguments {
        [name] => (name, None),
        [name, server] => (name, Some(server)),
        _ => return Err("usage: nslookup NAME [SERVER]".to_owned()),
    };
    let mut resolver = Resolver::from_system();
    if let Some(server) = server {
        let address = resolver.addresses(server).first().copied();
        let address = address.ok_or_else(|| format!("can't resolve '{server}'"))?;
        resolver.servers = vec![SocketAddr::new(address, 53)];
    }
    let server = resolver.servers[0].ip();
    println!("Server:    {server}\n{}\n", address_line(&resolver, 1, server));
    let addresses = resolver.addresses(name);
    if addresses.is_empty() {
        return Err(format!("can't resolve '{name}'"));
    }
    println!("Name:      {name}");
    for (number, address) in (1..).zip(addresses) {
        println!("{}", address_line(&resolver, number, address));
    }
    Ok(())
}

fn address_line(resolver: &Resolver, number: usize, address: IpAddr) -> String {
    let name = resolver.name_of(address).map(|name| format!(" {name}")).unwrap_or_default();
    format!("Address {number}: {address}{name}")
}

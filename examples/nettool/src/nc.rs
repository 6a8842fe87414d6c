//! `nc HOST PORT` copies standard input to a connection and the connection to standard output; `-l` waits for one.

use std::io::{self, Write};
use std::net::{Ipv6Addr, Shutdown, SocketAddr, TcpListener, TcpStream};
use std::thread;
use std::time::Duration;

use crate::resolver::Resolver;
use crate::wget::reason;

#[derive(Debug, Default, PartialEq, Eq)]
struct Options {
    listen: bool,
    /// Only try to connect.
    probe: bool,
    timeout: Option<Duration>,
    port: u16,
    host: String,
}

/// Runs one connection to its end.
pub(crate) fn run(arguments: &[String]) -> Result<(), String> {
    let options = parse_options(arguments)?;
    let stream = if options.listen { accept(options.port) } else { connect(&options) }?;
    if options.probe {
        return Ok(());
    }
    stream.set_read_timeout(options.timeout).map_err(|error| reason(&error))?;
    copy_both_ways(&stream).map_err(|error| reason(&error))
}

fn parse_options(arguments: &[String]) -> Result<Options, String> {
    let mut options = Options::default();
    let mut places = Vec::new();
    let mut words = arguments.iter();
    while let Some(word) = words.next() {
        let mut number = || {
            let text = words.next().ok_or_else(|| format!("option {word} needs a value"))?;
            text.parse::<u16>().map_err(|_| format!("invalid number '{text}'"))
        };
        match word.as_str() {
            "-w" => options.timeout = Some(Duration::from_secs(u64::from(number()?.max(1)))),
            "-p" => options.port = number()?,
            flags if flags.starts_with('-') && flags.len() > 1 => {
                for flag in flags[1..].chars() {
                    match flag {
                        'l' => options.listen = true,
                        'z' => options.probe = true,
                        // Numeric addresses and talkativeness: accepted, without effect.
                        'n' | 'v' => {}
                        'p' => options.port = number()?,
                        'w' => options.timeout = Some(Duration::from_secs(u64::from(number()?.max(1)))),
                        _ => return Err(format!("invalid option -- '{flag}'")),
                    }
                }
            }
            place => places.push(place),
        }
    }
    match places.as_slice() {
        [] if options.listen && options.port > 0 => {}
        [host, port] if !options.listen => {
            options.host = (*host).to_owned();
            options.port = port.parse().map_err(|_| format!("bad port '{port}'"))?;
        }
        _ => return Err("usage: nc [-z] [-w SECONDS] HOST PORT, or nc -l -p PORT".to_owned()),
    }
    Ok(options)
}

fn connect(options: &Options) -> Result<TcpStream, String> {
    let mut last = format!("bad address '{}'", options.host);
    for address in Resolver::from_system().addresses(&options.host) {
        let address = SocketAddr::new(address, options.port);
        let connected = match options.timeout {
            Some(timeout) => TcpStream::connect_timeout(&address, timeout),
            None => TcpStream::connect(address),
        };
        match connected {
            Ok(stream) => return Ok(stream),
            Err(error) => last = format!("can't connect to remote host ({}): {}", address.ip(), reason(&error)),
        }
    }
    Err(last)
}

fn accept(port: u16) -> Result<TcpStream, String> {
    let listener = TcpListener::bind((Ipv6Addr::UNSPECIFIED, port)).or_else(|_| TcpListener::bind(("0.0.0.0", port)));
    let accepted = listener.and_then(|listener| listener.accept());
    accepted.map(|(stream, _)| stream).map_err(|error| reason(&error))
}

fn copy_both_ways(stream: &TcpStream) -> io::Result<()> {
    let sending = stream.try_clone()?;
    // Not joined: when the other side has closed, nobody waits for the rest of standard input.
    thread::spawn(move || {
        let copied = io::copy(&mut io::stdin().lock(), &mut &sending);
        // The other side learns that no more will come, and can still answer.
        copied.and_then(|_| sending.shutdown(Shutdown::Write))
    });
    io::copy(&mut &*stream, &mut io::stdout().lock())?;
    io::stdout().flush()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_options() {
        let parse = |text: &str| parse_options(&text.split(' ').map(str::to_owned).collect::<Vec<_>>());
        let client = parse("-zw 3 db 5432").unwrap();
        assert!(client.probe);
        assert_eq!((client.host.as_str(), client.port, client.timeout), ("db", 5432, Some(Duration::from_secs(3))));
        let server = parse("-l -p 80").unwrap();
        assert_eq!((server.listen, server.port), (true, 80));
        for wrong in ["db", "-l", "db port", "-x db 1", "-w"] {
            assert!(parse(wrong).is_err(), "{wrong}");
        }
    }
}

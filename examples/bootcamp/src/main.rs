//! The web server of the tutorial: says hello, on which host, and which version of the application it is.
//!
//! It is the container image's only file, so it is built statically. `BOOTCAMP_VERSION` (in the image: 1 or 2) is the
//! version it reports, `PORT` the port it listens on (8080). As process 1 of a container it gets no default handling of
//! signals: SIGTERM and SIGINT end it after all requests are answered.
//!
//! After the signal it goes on accepting until no connection has come for [`QUIET`]: its removal from the service
//! takes a moment to reach every proxy, and what is sent meanwhile must not fail. The grace period of the pod bounds it.

#![forbid(unsafe_code)]
#![expect(clippy::print_stdout, reason = "a container's log is its standard output")]

use std::env;
use std::io::{self, Read, Write};
use std::net::{Ipv6Addr, TcpListener, TcpStream};
use std::os::fd::AsFd;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc::{SyncSender, sync_channel};
use std::thread;
use std::time::Duration;

use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::sys::signal::{SigSet, Signal};
use nix::sys::signalfd::{SfdFlags, SignalFd};

/// Requests answered at the same time; the listener's queue holds the rest.
const WORKERS: usize = 16;
/// How long after the signal to end no connection must come before the server stops listening.
const QUIET: Duration = Duration::from_millis(300);
/// A client that says nothing for so long is dropped.
const PATIENCE: Duration = Duration::from_secs(5);
/// A request's head is a few hundred bytes; who sends more is no browser.
const MAX_REQUEST_BYTES: usize = 8 * 1024;

fn main() -> io::Result<()> {
    // Blocked before any thread starts, so that every thread inherits it and only the descriptor delivers signals.
    let signals: SigSet = [Signal::SIGTERM, Signal::SIGINT].into_iter().collect();
    signals.thread_block()?;
    let ending = SignalFd::with_flags(&signals, SfdFlags::SFD_NONBLOCK | SfdFlags::SFD_CLOEXEC)?;
    let port: u16 = env::var("PORT").ok().and_then(|port| port.parse().ok()).unwrap_or(8080);
    // The unspecified IPv6 address takes IPv4 connections too, where there is IPv6.
    let listener =
        TcpListener::bind((Ipv6Addr::UNSPECIFIED, port)).or_else(|_| TcpListener::bind(("0.0.0.0", port)))?;
    listener.set_nonblocking(true)?;
    let application = Arc::new(Application::from_environment());
    println!("Kubernetes Bootcamp App Started | Running On: {} | {}", application.host, listener.local_addr()?);
    serve(listener, &ending, &application)?;
    println!("Ended after {} requests", application.requests.load(Ordering::Relaxed));
    Ok(())
}

struct Application {
    host: String,
    version: String,
    requests: AtomicU64,
}

impl Application {
    fn from_environment() -> Self {
        let host = nix::unistd::gethostname().map(|name| name.to_string_lossy().into_owned());
        Self {
            host: host.unwrap_or_else(|_| "unknown".to_owned()),
            version: env::var("BOOTCAMP_VERSION").unwrap_or_else(|_| "1".to_owned()),
            requests: AtomicU64::new(0),
        }
    }

    /// Answers one request and closes: a client of a service is balanced anew with every connection.
    fn answer(&self, mut stream: TcpStream) -> io::Result<()> {
        stream.set_read_timeout(Some(PATIENCE))?;
        stream.set_write_timeout(Some(PATIENCE))?;
        let head = read_head(&mut stream)?;
        let count = self.requests.fetch_add(1, Ordering::Relaxed) + 1;
        let request = head.lines().next().unwrap_or_default();
        println!("Running On: {} | Total Requests: {count} | {request}", self.host);
        let body = format!("Hello Kubernetes bootcamp! | Running on: {} | v={}\n", self.host, self.version);
        let body_sent = if request.starts_with("HEAD ") { "" } else { &body };
        write!(
            stream,
            "HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\nContent-Length: {}\r\nConnection: close\r\n\r\n{body_sent}",
            body.len()
        )?;
        stream.flush()
    }
}

/// Leave to answer one request; given back when dropped, also by a thread that panics.
struct Permit(SyncSender<()>);

impl Drop for Permit {
    fn drop(&mut self) {
        // Nobody waits for it once the server has ended.
        let _ = self.0.send(());
    }
}

/// Answers requests until a signal has come and the quiet after it, and returns when the last one is answered.
fn serve(listener: TcpListener, ending: &SignalFd, application: &Arc<Application>) -> io::Result<()> {
    let (giver, permits) = sync_channel(WORKERS);
    for _ in 0..WORKERS {
        giver.send(()).expect("the receiver is right here");
    }
    let mut asked_to_end = false;
    loop {
        let mut events =
            [PollFd::new(listener.as_fd(), PollFlags::POLLIN), PollFd::new(ending.as_fd(), PollFlags::POLLIN)];
        let watched = if asked_to_end { &mut events[..1] } else { &mut events[..] };
        let timeout =
            if asked_to_end { PollTimeout::try_from(QUIET).unwrap_or(PollTimeout::ZERO) } else { PollTimeout::NONE };
        match poll(watched, timeout) {
            Ok(0) => break,
            Ok(_) | Err(nix::Error::EINTR) => {}
            Err(error) => return Err(error.into()),
        }
        asked_to_end = asked_to_end || ending.read_signal()?.is_some();
        match listener.accept() {
            Ok((stream, _)) => {
                stream.set_nonblocking(false)?;
                permits.recv().expect("the sender is right here");
                let (application, permit) = (application.clone(), Permit(giver.clone()));
                thread::spawn(move || {
                    let _permit = permit;
                    // A client that goes away is its own business; the next one must be served.
                    if let Err(error) = application.answer(stream) {
                        println!("request failed: {error}");
                    }
                });
            }
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
            // The client is gone already, or descriptors ran out for a moment: the next one is served.
            Err(error) => println!("could not accept a connection: {error}"),
        }
    }
    // Who comes now is refused at once and can go elsewhere.
    drop(listener);
    for _ in 0..WORKERS {
        permits.recv().expect("the sender is right here");
    }
    Ok(())
}

fn read_head(stream: &mut TcpStream) -> io::Result<String> {
    let mut head = Vec::new();
    let mut buffer = [0; 1024];
    while !head.windows(4).any(|window| window == b"\r\n\r\n") && head.len() < MAX_REQUEST_BYTES {
        match stream.read(&mut buffer)? {
            0 => break,
            length => head.extend_from_slice(&buffer[..length]),
        }
    }
    Ok(String::from_utf8_lossy(&head).into_owned())
}

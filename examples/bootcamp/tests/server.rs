//! The tutorial's server as its clients see it.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpStream;
use std::process::{Child, Command, Stdio};

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

struct Server {
    child: Child,
    log: BufReader<std::process::ChildStdout>,
    port: u16,
}

impl Server {
    fn start(version: &str) -> Self {
        let mut command = Command::new(env!("CARGO_BIN_EXE_bootcamp"));
        command.env("PORT", "0").env("BOOTCAMP_VERSION", version).stdout(Stdio::piped());
        let mut child = command.spawn().unwrap();
        let mut log = BufReader::new(child.stdout.take().unwrap());
        let mut line = String::new();
        log.read_line(&mut line).unwrap();
        let port = line.trim().rsplit(':').next().unwrap().parse().unwrap();
        Self { child, log, port }
    }

    fn connect(&self) -> TcpStream {
        TcpStream::connect(("127.0.0.1", self.port)).unwrap()
    }

    fn get(&self) -> String {
        finish(self.connect(), "GET / HTTP/1.1\r\nHost: x\r\n\r\n")
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn finish(mut stream: TcpStream, request: &str) -> String {
    stream.write_all(request.as_bytes()).unwrap();
    let mut response = String::new();
    stream.read_to_string(&mut response).unwrap();
    response
}

#[test]
fn it_says_hello_with_host_and_version() {
    let server = Server::start("2");
    let response = server.get();
    let host = nix::unistd::gethostname().unwrap().into_string().unwrap();
    assert!(response.starts_with("HTTP/1.1 200 OK\r\n"), "{response}");
    assert!(
        response.ends_with(&format!("\r\n\r\nHello Kubernetes bootcamp! | Running on: {host} | v=2\n")),
        "{response}"
    );
}

#[test]
fn after_sigterm_running_requests_are_answered_and_the_exit_code_is_zero() {
    let mut server = Server::start("1");
    let mut running = server.connect();
    running.write_all(b"GET /").unwrap();
    let waiting = server.connect();
    kill(Pid::from_raw(server.child.id() as i32), Signal::SIGTERM).unwrap();
    assert!(finish(running, " HTTP/1.1\r\n\r\n").contains("v=1"));
    assert!(finish(waiting, "GET / HTTP/1.1\r\n\r\n").contains("v=1"));
    assert_eq!(server.child.wait().unwrap().code(), Some(0));
    let mut rest = String::new();
    server.log.read_to_string(&mut rest).unwrap();
    assert!(rest.ends_with("Ended after 2 requests\n"), "{rest}");
}

#[test]
fn more_clients_than_workers_are_served_in_turn() {
    let server = Server::start("1");
    let clients: Vec<TcpStream> = (0..40).map(|_| server.connect()).collect();
    let answers = clients.into_iter().map(|client| finish(client, "GET / HTTP/1.1\r\n\r\n"));
    assert_eq!(answers.filter(|answer| answer.contains("v=1")).count(), 40);
}

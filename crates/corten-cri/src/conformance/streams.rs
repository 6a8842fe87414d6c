//! Exec, attach and port-forward as byte streams.

use std::time::Duration;

use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _, DuplexStream},
    sync::mpsc,
};

use super::{Fixture, pod, pod::IDLE};
use crate::{Code, StreamIo, TerminalSize, api, log_format::LogStream, streaming::RESIZE_BUFFER};

/// How much the client's ends hold before the writer waits.
const PIPE_BYTES: usize = 64 << 10;

/// How long a client that hangs waits for the runtime to notice.
const CLIENT_MAX: Duration = Duration::from_secs(30);

/// The client's ends of the streams.
struct Client {
    stdin: DuplexStream,
    stdout: DuplexStream,
    stderr: DuplexStream,
    resize: mpsc::Sender<TerminalSize>,
}

/// Streams with a client at their other ends; with a terminal, without stderr.
fn streams(tty: bool) -> (StreamIo, Client) {
    let (stdin, stdin_far) = tokio::io::duplex(PIPE_BYTES);
    let (stdout, stdout_far) = tokio::io::duplex(PIPE_BYTES);
    let (stderr, stderr_far) = tokio::io::duplex(PIPE_BYTES);
    let (resize, resize_far) = mpsc::channel(RESIZE_BUFFER);
    let io = StreamIo {
        stdin: Some(Box::new(stdin_far)),
        stdout: Some(Box::new(stdout_far)),
        stderr: if tty { None } else { Some(Box::new(stderr_far)) },
        resize: resize_far,
    };
    (io, Client { stdin, stdout, stderr, resize })
}

fn exec_request(container_id: &str, script: &str, tty: bool) -> api::ExecRequest {
    api::ExecRequest {
        container_id: container_id.to_owned(),
        cmd: pod::shell(script),
        tty,
        stdin: true,
        stdout: true,
        stderr: !tty,
    }
}

fn attach_request(container_id: &str, tty: bool) -> api::AttachRequest {
    api::AttachRequest { container_id: container_id.to_owned(), stdin: true, tty, stdout: true, stderr: !tty }
}

/// Reads until `text` has arrived.
async fn read_until(fixture: &Fixture, from: &mut DuplexStream, text: &str) -> String {
    let mut read = Vec::new();
    let arrived = async {
        while !String::from_utf8_lossy(&read).contains(text) {
            let byte = from.read_u8().await.expect("more output");
            read.push(byte);
        }
    };
    let waited = corten_base::timeout(&*fixture.clock, CLIENT_MAX, arrived).await;
    let read = String::from_utf8_lossy(&read).into_owned();
    assert!(waited.is_ok(), "{text:?} did not arrive, only {read:?}");
    read
}

/// More than any pipe holds goes in and comes out; the end of stdin ends `cat`.
pub async fn a_command_reads_its_stdin_to_the_end(fixture: &Fixture) {
    let pod = fixture.pod("stdin").await;
    let id = pod.start("main", IDLE).await;
    let (io, mut client) = streams(false);
    let sent = vec![b'x'; 1 << 20];
    let write = async {
        client.stdin.write_all(&sent).await.expect("write stdin");
        client.stdin.shutdown().await.expect("close stdin");
    };
    let read = async {
        let mut read = Vec::new();
        client.stdout.read_to_end(&mut read).await.expect("read stdout");
        read
    };
    let exec = fixture.streaming().stream_exec(exec_request(&id, "cat", false), io);
    let (code, (), read) = futures::join!(exec, write, read);
    assert_eq!(code.expect("exec"), 0);
    assert!(read == sent, "{} bytes of {}", read.len(), sent.len());
}

/// Everything that was written has arrived when the call returns.
pub async fn stdout_and_stderr_arrive_apart_with_the_exit_code(fixture: &Fixture) {
    let pod = fixture.pod("apart").await;
    let id = pod.start("main", IDLE).await;
    let (io, mut client) = streams(false);
    let request = exec_request(&id, "echo out; echo err >&2; exit 5", false);
    assert_eq!(fixture.streaming().stream_exec(request, io).await.expect("exec"), 5);
    let (mut out, mut err) = (String::new(), String::new());
    client.stdout.read_to_string(&mut out).await.expect("read stdout");
    client.stderr.read_to_string(&mut err).await.expect("read stderr");
    assert_eq!((out.as_str(), err.as_str()), ("out\n", "err\n"));
}

/// Sizes reach the command's terminal, and what is typed does.
pub async fn a_terminal_has_the_clients_size(fixture: &Fixture) {
    let pod = fixture.pod("size").await;
    let id = pod.start("main", IDLE).await;
    let (io, mut client) = streams(true);
    client.resize.send(TerminalSize { width: 91, height: 37 }).await.expect("resize");
    let script = "test -t 0 && test -t 1 && test -t 2 || exit 9; \
                  until test \"$(stty size)\" = '37 91'; do sleep 0.05; done; echo first; \
                  until test \"$(stty size)\" = '50 120'; do sleep 0.05; done; echo second; \
                  read line; test \"$line\" = typed && exit 3";
    let exec = fixture.streaming().stream_exec(exec_request(&id, script, true), io);
    let talk = async {
        read_until(fixture, &mut client.stdout, "first").await;
        client.resize.send(TerminalSize { width: 120, height: 50 }).await.expect("resize");
        read_until(fixture, &mut client.stdout, "second").await;
        client.stdin.write_all(b"typed\n").await.expect("write");
        // The terminal echoes.
        read_until(fixture, &mut client.stdout, "typed").await;
    };
    let (code, ()) = futures::join!(exec, talk);
    assert_eq!(code.expect("exec"), 3);
}

/// What the client types reaches the container, what the container says reaches client and log.
pub async fn attach_carries_both_ways(fixture: &Fixture) {
    let pod = fixture.pod("attach").await;
    let script = "while read line; do echo \"heard $line\"; test \"$line\" = end && exit 4; done";
    let id = pod.start_with("main", script, |config| config.stdin = true).await;
    for (line, last) in [("one", false), ("end", true)] {
        let (io, mut client) = streams(false);
        let attach = fixture.streaming().stream_attach(attach_request(&id, false), io);
        let talk = async {
            client.stdin.write_all(format!("{line}\n").as_bytes()).await.expect("write");
            read_until(fixture, &mut client.stdout, &format!("heard {line}\n")).await;
            // The first client leaves, the second one sees the container end.
            if !last {
                drop(client);
            }
        };
        let both = async { futures::join!(attach, talk) };
        let ended = corten_base::timeout(&*fixture.clock, CLIENT_MAX, both).await;
        ended.expect("the call ends with its client or the container").0.expect("attach");
    }
    assert_eq!(fixture.exited(&id).await.exit_code, 4);
    assert_eq!(pod.logged("main", LogStream::Stdout), "heard one\nheard end\n");
}

/// With `stdin_once`, the client's end of input is the container's.
pub async fn stdin_once_ends_with_its_first_client(fixture: &Fixture) {
    let pod = fixture.pod("stdin-once").await;
    let id = pod
        .start_with("main", "cat; exit 6", |config| {
            config.stdin = true;
            config.stdin_once = true;
        })
        .await;
    let (io, mut client) = streams(false);
    client.stdin.write_all(b"hello\n").await.expect("write");
    client.stdin.shutdown().await.expect("close stdin");
    let attach = fixture.streaming().stream_attach(attach_request(&id, false), io);
    corten_base::timeout(&*fixture.clock, CLIENT_MAX, attach).await.expect("in time").expect("attach");
    assert_eq!(fixture.exited(&id).await.exit_code, 6);
    assert_eq!(pod.logged("main", LogStream::Stdout), "hello\n");
}

/// A port of the sandbox's loopback, and both directions end.
pub async fn a_port_of_the_sandbox_can_be_reached(fixture: &Fixture) {
    let pod = fixture.pod("forward").await;
    let id = pod.start("main", "while true; do echo pong | nc -l -p 8000; done").await;
    fixture
        .eventually("the container listens", || async {
            let answer = fixture.exec(&id, "netstat -ltn | grep :8000").await.expect("exec");
            (answer.exit_code == 0).then_some(())
        })
        .await;
    let (mut near, far) = tokio::io::duplex(PIPE_BYTES);
    let forward = fixture.streaming().stream_port_forward(&pod.id, 8000, Box::new(far));
    let talk = async {
        near.write_all(b"ping\n").await.expect("write");
        near.shutdown().await.expect("close");
        let mut answer = String::new();
        near.read_to_string(&mut answer).await.expect("read");
        answer
    };
    let both = async { futures::join!(forward, talk) };
    let (forwarded, answer) = corten_base::timeout(&*fixture.clock, CLIENT_MAX, both).await.expect("in time");
    forwarded.expect("forward");
    assert_eq!(answer, "pong\n");
}

/// Nobody listens.
pub async fn a_refused_port_is_an_error(fixture: &Fixture) {
    let pod = fixture.pod("refused").await;
    let (_near, far) = tokio::io::duplex(PIPE_BYTES);
    let forward = fixture.streaming().stream_port_forward(&pod.id, 8001, Box::new(far));
    let ended = corten_base::timeout(&*fixture.clock, CLIENT_MAX, forward).await;
    ended.expect("in time").expect_err("nobody listens");
}

/// `NotFound`, as for any other call.
pub async fn streams_of_an_unknown_container_are_not_found(fixture: &Fixture) {
    let streaming = fixture.streaming();
    let exec = streaming.stream_exec(exec_request("no-such-container", "true", false), streams(false).0).await;
    assert_eq!(exec.expect_err("unknown").code, Code::NotFound);
    let attach = streaming.stream_attach(attach_request("no-such-container", false), streams(false).0).await;
    assert_eq!(attach.expect_err("unknown").code, Code::NotFound);
    let forward = streaming.stream_port_forward("no-such-sandbox", 80, Box::new(tokio::io::duplex(1).0)).await;
    assert_eq!(forward.expect_err("unknown").code, Code::NotFound);
}

//! Terminals of init and of execs.

use std::{
    fs::File,
    io::{Read as _, Write as _},
};

use corten_oci::{Stdio, Terminal, TerminalSize};
use serde_json::json;

use crate::{
    Test,
    support::{Bundle, start_exec},
};

pub(crate) static TESTS: &[Test] = &[
    ("privileged::terminals::init_talks_through_its_terminal", init_talks_through_its_terminal),
    ("privileged::terminals::an_exec_has_a_terminal_of_its_own", an_exec_has_a_terminal_of_its_own),
    ("privileged::terminals::another_user_owns_its_terminal", another_user_owns_its_terminal),
    ("privileged::terminals::a_user_namespace_has_terminals", a_user_namespace_has_terminals),
    ("privileged::terminals::an_image_cannot_offer_another_device", an_image_cannot_offer_another_device),
];

const SIZE: TerminalSize = TerminalSize { rows: 33, columns: 99 };

/// Reads until the text ends with what is waited for.
#[track_caller]
fn expect(terminal: &Terminal, wanted: &str) -> String {
    let mut file = File::from(terminal.fd().try_clone().unwrap());
    let mut text = String::new();
    let mut buffer = [0_u8; 1_024];
    while !text.contains(wanted) {
        match file.read(&mut buffer) {
            Ok(length) if length > 0 => text.push_str(&String::from_utf8_lossy(&buffer[..length])),
            other => panic!("waited for {wanted:?}, got {text:?}, then {other:?}"),
        }
    }
    text
}

fn type_line(terminal: &Terminal, line: &str) {
    let mut file = File::from(terminal.fd().try_clone().unwrap());
    file.write_all(line.as_bytes()).unwrap();
    file.write_all(b"\n").unwrap();
}

fn init_talks_through_its_terminal() {
    let bundle =
        Bundle::shell("tty; stty size; echo ready; read x; stty size; echo got:$x; echo there > /dev/console; exit 4");
    let mut container = bundle.create(Stdio::Terminal(SIZE));
    let terminal = container.take_terminal().unwrap();
    container.start().unwrap();
    assert_eq!(expect(&terminal, "ready\r\n"), "/dev/pts/0\r\n33 99\r\nready\r\n");
    terminal.resize(TerminalSize { rows: 50, columns: 120 }).unwrap();
    type_line(&terminal, "hello");
    let text = expect(&terminal, "there\r\n");
    assert!(text.contains("50 120\r\ngot:hello\r\n"), "{text:?}");
    assert_eq!(container.init().unwrap().wait().unwrap().unwrap().code(), 4);
    container.delete(false).unwrap();
}

fn an_exec_has_a_terminal_of_its_own() {
    let bundle = Bundle::new(&["sleep", "100"]);
    let mut container = bundle.start();
    let process =
        start_exec(&mut container, &bundle, "stty size; tty; read x; echo $x-$x", Stdio::Terminal(SIZE), |_| {});
    let terminal = process.terminal.unwrap();
    expect(&terminal, "/dev/pts/0");
    type_line(&terminal, "ab");
    expect(&terminal, "ab-ab");
    assert_eq!(process.handle.wait().unwrap().unwrap().code(), 0);
    // Control-C reaches the program: the terminal is the controlling one.
    let process = start_exec(&mut container, &bundle, "echo up; sleep 100", Stdio::Terminal(SIZE), |_| {});
    let terminal = process.terminal.unwrap();
    expect(&terminal, "up");
    type_line(&terminal, "\u{3}");
    assert_eq!(process.handle.wait().unwrap().unwrap().code(), 130);
    container.delete(true).unwrap();
}

fn another_user_owns_its_terminal() {
    let mut bundle = Bundle::shell("stat -c %u:%g $(tty); echo y > /proc/self/fd/1; id -u");
    bundle.process()["user"] = json!({"uid": 1000, "gid": 1000});
    let mut container = bundle.create(Stdio::Terminal(SIZE));
    let terminal = container.take_terminal().unwrap();
    container.start().unwrap();
    assert_eq!(expect(&terminal, "\n1000\r\n"), "1000:5\r\ny\r\n1000\r\n");
    container.init().unwrap().wait().unwrap();
    container.delete(false).unwrap();
}

fn a_user_namespace_has_terminals() {
    let bundle = Bundle::shell("stat -c %u:%g $(tty); echo to-console > /dev/console; sleep 100").with_user_namespace();
    let mut container = bundle.create(Stdio::Terminal(SIZE));
    let terminal = container.take_terminal().unwrap();
    container.start().unwrap();
    assert_eq!(expect(&terminal, "to-console\r\n"), "0:5\r\nto-console\r\n");
    let process = start_exec(&mut container, &bundle, "stat -c %u:%g $(tty); exit 6", Stdio::Terminal(SIZE), |_| {});
    expect(process.terminal.as_ref().unwrap(), "0:5");
    assert_eq!(process.handle.wait().unwrap().unwrap().code(), 6);
    container.delete(true).unwrap();
}

fn an_image_cannot_offer_another_device() {
    let mut bundle = Bundle::new(&["true"]);
    bundle.spec["mounts"].as_array_mut().unwrap().retain(|mount| mount["destination"] == "/proc");
    std::fs::create_dir_all(bundle.rootfs().join("dev/pts")).unwrap();
    // On the host this link leads to a real one.
    std::os::unix::fs::symlink("/proc/self/fd/0", bundle.rootfs().join("dev/pts/ptmx")).unwrap();
    let error = bundle.try_create(Stdio::Terminal(SIZE)).unwrap_err();
    assert!(error.to_string().contains("open terminal"), "{error}");
    assert!(!crate::support::has_children());
}

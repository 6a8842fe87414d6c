//! A program on a terminal, as a person sees and uses it.

use std::{
    fs::File,
    io::{Read as _, Write as _},
    os::fd::OwnedFd,
    process::{Child, Command, Stdio},
    sync::Arc,
    thread::JoinHandle,
};

use anyhow::{Context as _, ensure};
use corten_e2e::eventually;
use nix::{
    pty::{Winsize, openpty},
    sys::signal::{Signal, kill},
    unistd::Pid,
};
use parking_lot::Mutex;

/// A program and the terminal that it runs on.
pub(super) struct Terminal {
    child: Child,
    /// The keyboard.
    keys: File,
    /// The program's side, for changes of the size. Given up before the end of the output is waited for.
    program_side: Option<OwnedFd>,
    /// Everything that was printed.
    screen: Arc<Mutex<String>>,
    reader: Option<JoinHandle<()>>,
}

impl Terminal {
    /// Starts a program on a terminal of `rows` and `columns`.
    pub(super) fn start(command: &mut Command, rows: u16, columns: u16) -> anyhow::Result<Self> {
        let size = Winsize { ws_row: rows, ws_col: columns, ws_xpixel: 0, ws_ypixel: 0 };
        let pair = openpty(Some(&size), None).context("make a terminal")?;
        let side = || anyhow::Ok(Stdio::from(pair.slave.try_clone()?));
        let child = command.env("TERM", "xterm").stdin(side()?).stdout(side()?).stderr(side()?).spawn()?;
        // The command keeps what it was given until it is given something else.
        command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
        let keys = File::from(pair.master);
        let mut output = keys.try_clone()?;
        let screen = Arc::new(Mutex::new(String::new()));
        let shown = Arc::clone(&screen);
        let reader = std::thread::spawn(move || {
            let mut buffer = [0; 4096];
            // It ends with an error: the program's side is gone.
            while let Ok(length @ 1..) = output.read(&mut buffer) {
                shown.lock().push_str(&String::from_utf8_lossy(&buffer[..length]));
            }
        });
        Ok(Self { child, keys, program_side: Some(pair.slave), screen, reader: Some(reader) })
    }

    /// Waits until `text` was printed.
    pub(super) fn expect(&self, text: &str) -> anyhow::Result<()> {
        eventually(&format!("{text:?} is printed"), || {
            let screen = self.screen.lock();
            ensure!(screen.contains(text), "{screen}");
            Ok(())
        })
    }

    /// Types a line.
    pub(super) fn type_line(&mut self, line: &str) -> anyhow::Result<()> {
        self.keys.write_all(format!("{line}\r").as_bytes()).context("type a line")
    }

    /// Changes the size, and tells the program as the kernel would tell the foreground of a session.
    pub(super) fn resize(&self, rows: u16, columns: u16) -> anyhow::Result<()> {
        let side = self.program_side.as_ref().context("the terminal is open")?.try_clone()?;
        let (rows, columns) = (rows.to_string(), columns.to_string());
        let stty = Command::new("stty").args(["rows", &rows, "cols", &columns]).stdin(side).status()?;
        ensure!(stty.success(), "stty failed");
        kill(Pid::from_raw(self.child.id().try_into()?), Signal::SIGWINCH).context("tell the program")
    }

    /// Waits until the program has ended, and gives its exit code.
    pub(super) fn end(mut self) -> anyhow::Result<Option<i32>> {
        let code = self.child.wait()?.code();
        self.program_side = None;
        if let Some(reader) = self.reader.take() {
            reader.join().expect("reading does not panic");
        }
        Ok(code)
    }
}

impl Drop for Terminal {
    fn drop(&mut self) {
        // Ended already, unless a test failed.
        let _gone = self.child.kill();
        let _status = self.child.wait();
    }
}

//! What containers write and read: to their logs and to attached clients, and from these.

use corten_cri::log_format::LogStream;

use super::{READ_BYTES, Server};
use crate::shim::output::{self, Piece};

impl Server {
    /// Copies what a stream holds. Not what comes after: a process that was given the stream may have outlived the
    /// container, and write without end.
    pub(super) fn last_output(&mut self, id: &str, stream: LogStream) {
        let Some(output) = self.entries.get(id).and_then(|entry| entry.outputs[stream as usize].as_ref()) else {
            return;
        };
        // A terminal is no pipe, and holds less.
        let mut left = rustix::pipe::fcntl_getpipe_size(output).unwrap_or(READ_BYTES);
        while left > 0 {
            match self.output(id, stream) {
                0 => return,
                length => left = left.saturating_sub(length),
            }
        }
    }

    /// Copies one piece of a stream to the log and to the clients. Returns its bytes; 0: there is none at the moment, or no
    /// more.
    pub(super) fn output(&mut self, id: &str, stream: LogStream) -> usize {
        let time = self.clock.now();
        let Some(entry) = self.entries.get_mut(id) else { return 0 };
        let index = stream as usize;
        let Some(output) = &entry.outputs[index] else { return 0 };
        let bytes = match output::read(output, &mut self.buffer) {
            Piece::Bytes(length) => &self.buffer[..length],
            Piece::Nothing => return 0,
            Piece::End => {
                entry.outputs[index] = None;
                return 0;
            }
        };
        let written = entry.log.write(stream, time, bytes);
        entry.logged(id, written, self.clock.monotonic());
        let mut lost = Vec::new();
        for (number, client) in &mut entry.clients {
            if client.outputs[index].as_mut().is_some_and(|sink| !sink.write(bytes)) {
                lost.push(*number);
            }
        }
        let length = bytes.len();
        for number in lost {
            self.hang_up(number);
        }
        length
    }

    pub(super) fn client_input(&mut self, id: &str, number: u64) {
        let Some(entry) = self.entries.get_mut(id) else { return };
        let Some(client) = entry.clients.get_mut(&number) else { return };
        let Some(stdin) = &client.stdin else { return };
        // Poll said that a read does not wait.
        match output::read(stdin, &mut self.buffer) {
            Piece::Bytes(length) => {
                if !entry.input.as_mut().is_some_and(|input| input.write(&self.buffer[..length])) {
                    entry.input = None;
                    client.stdin = None;
                }
            }
            Piece::Nothing => {}
            Piece::End => {
                client.stdin = None;
                if !entry.stdin_once {
                    // The client has said its last word, and the container's input stays open for the next one.
                    self.hang_up(number);
                } else if entry.terminal.is_none() {
                    entry.input = None;
                }
            }
        }
    }
}

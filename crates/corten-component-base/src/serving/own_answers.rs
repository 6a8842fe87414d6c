//! What hyper answers itself, in Go's words: a request of HTTP/1 that its parser refuses gets a code and no text.
//!
//! hyper writes such an answer while no request is open, after all of the answers before it. It is withheld, the end of the
//! connection too, and Go's is sent when hyper has ended and said what was wrong.
//! Upstream: `serve` of a connection in net/http/server.go. A version that the server does not speak, for which that has a
//! code of its own, is to hyper what any other line is that is no request.

use std::{
    error::Error,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
};

use super::activity::Activity;

macro_rules! answer {
    ($status:literal, $text:literal) => {
        concat!("HTTP/1.1 ", $status, "\r\nContent-Type: text/plain; charset=utf-8\r\nConnection: close\r\n\r\n", $text)
            .as_bytes()
    };
}

const BAD_REQUEST: &[u8] = answer!("400 Bad Request", "400 Bad Request");
const LARGE_HEAD: &[u8] = answer!("431 Request Header Fields Too Large", "431 Request Header Fields Too Large");
const UNKNOWN_ENCODING: &[u8] = answer!("501 Not Implemented", "Unsupported transfer encoding");
/// Go has no such bound but that of the head.
const LONG_PATH: &[u8] = answer!("414 Request URI Too Long", "414 Request URI Too Long");

/// The answers that an HTTP/1 connection writes.
#[derive(Debug)]
pub(super) struct Answers {
    activity: Activity,
    /// How many requests there have been when the last answer was begun.
    answered: usize,
    /// Whether nothing of that answer is left to be written.
    is_written: bool,
    withheld: Withheld,
}

/// Whether an answer of hyper's own was withheld; clones share it.
#[derive(Debug, Clone, Default)]
pub(super) struct Withheld(Arc<AtomicBool>);

impl Answers {
    pub(super) fn new(activity: Activity, withheld: Withheld) -> Self {
        Self { activity, answered: 0, is_written: true, withheld }
    }

    /// Whether what is to be written now is hyper's own answer, which is withheld.
    pub(super) fn withholds(&mut self) -> bool {
        let requests = self.activity.requests();
        if requests != self.answered {
            (self.answered, self.is_written) = (requests, false);
        }
        if !self.is_written || self.activity.is_busy() {
            return false;
        }
        self.withheld.0.store(true, Ordering::Relaxed);
        true
    }

    /// All that was written has gone out.
    pub(super) fn flushed(&mut self) {
        // An answer is whole in hyper's buffer before its request is counted as ended.
        self.is_written |= self.activity.requests() == self.answered && !self.activity.is_busy();
    }

    /// Whether the connection is not to be ended yet.
    pub(super) fn has_withheld(&self) -> bool {
        self.withheld.0.load(Ordering::Relaxed)
    }
}

impl Withheld {
    /// What is to be told in place of the answer that was withheld, if one was, by what hyper ended with.
    pub(super) fn answer(&self, error: &(dyn Error + 'static)) -> Option<&'static [u8]> {
        if !self.0.load(Ordering::Relaxed) {
            return None;
        }
        let Some(error) = error.downcast_ref::<hyper::Error>() else { return Some(BAD_REQUEST) };
        // hyper tells some of its reasons by their words alone.
        let words = error.to_string();
        Some(match () {
            () if words.contains("URI too long") => LONG_PATH,
            () if error.is_parse_too_large() => LARGE_HEAD,
            () if words.contains("transfer-encoding") => UNKNOWN_ENCODING,
            () => BAD_REQUEST,
        })
    }
}

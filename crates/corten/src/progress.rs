//! What the user sees while a cluster starts: steps with their times, as they happen.
//!
//! One kind of [`Event`]s goes to a terminal (a spinner per step), to a plain stream (a line per step), or as JSON lines
//! through a pipe to the `corten up --detach` that waits for its daemon, which shows them in turn.

use std::{
    io::{BufRead, IsTerminal as _, Write as _},
    sync::Arc,
    time::Duration,
};

use corten_base::SharedClock;
use indicatif::{ProgressBar, ProgressStyle};
use parking_lot::Mutex;
use serde::{Deserialize, Serialize};

/// The width of the steps' names, so that times stand below each other.
const NAME_WIDTH: usize = 20;

/// Something happened on the way to a running cluster.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) enum Event {
    /// A step has begun.
    Begin {
        /// Its name.
        step: String,
    },
    /// The step is done.
    Done {
        /// Its name.
        step: String,
        /// What came of it; may be empty.
        detail: String,
        /// How long it took.
        milliseconds: u64,
    },
    /// Something that the user should know.
    Note(String),
    /// The cluster is ready; this is what to do next.
    Ready(String),
    /// It will not become ready.
    Failed(String),
}

/// Where events go. Clones share it.
#[derive(Clone)]
pub(crate) struct Progress {
    sink: Arc<Sink>,
    /// The step under way; nothing once the cluster is ready.
    current: Arc<Mutex<Option<&'static str>>>,
    clock: SharedClock,
}

enum Sink {
    Terminal(Mutex<Option<ProgressBar>>),
    Lines,
    Pipe,
    Log,
}

/// A step under way.
pub(crate) struct Step {
    progress: Progress,
    name: &'static str,
    began: Duration,
}

impl Progress {
    /// For people: a terminal if standard error is one, plain lines otherwise.
    pub(crate) fn for_people(clock: SharedClock) -> Self {
        let is_terminal = std::io::stderr().is_terminal();
        let sink = if is_terminal { Sink::Terminal(Mutex::default()) } else { Sink::Lines };
        Self::new(sink, clock)
    }

    /// For the process that waits at the other end of standard output.
    pub(crate) fn for_parent(clock: SharedClock) -> Self {
        Self::new(Sink::Pipe, clock)
    }

    /// For the log alone.
    pub(crate) fn for_log(clock: SharedClock) -> Self {
        Self::new(Sink::Log, clock)
    }

    fn new(sink: Sink, clock: SharedClock) -> Self {
        Self { sink: Arc::new(sink), current: Arc::default(), clock }
    }

    /// The step that the start is at; nothing before the first and when the cluster is ready.
    pub(crate) fn current(&self) -> Option<&'static str> {
        *self.current.lock()
    }

    /// Whether it is `for_parent`.
    pub(crate) fn is_for_parent(&self) -> bool {
        matches!(*self.sink, Sink::Pipe)
    }

    /// Begins a step.
    pub(crate) fn step(&self, name: &'static str) -> Step {
        *self.current.lock() = Some(name);
        self.tell(Event::Begin { step: name.to_owned() });
        Step { progress: self.clone(), name, began: self.clock.monotonic() }
    }

    /// Passes an event on. Whoever does not listen any more misses it.
    pub(crate) fn tell(&self, event: Event) {
        if matches!(event, Event::Ready(_)) {
            *self.current.lock() = None;
        }
        match &*self.sink {
            Sink::Terminal(bar) => show(&mut bar.lock(), event),
            Sink::Lines => {
                if let Some(line) = line(&event) {
                    let _ = writeln!(std::io::stderr().lock(), "{line}");
                }
            }
            Sink::Pipe => {
                let mut out = std::io::stdout().lock();
                let text = serde_json::to_string(&event).expect("strings and numbers are JSON");
                let _ = writeln!(out, "{text}").and_then(|()| out.flush());
            }
            Sink::Log => {}
        }
    }
}

impl Step {
    /// The step is done; `detail` says what came of it.
    pub(crate) fn done(self, detail: impl Into<String>) {
        let took = self.progress.clock.monotonic().saturating_sub(self.began);
        let detail = detail.into();
        tracing::info!(step = self.name, detail, duration_ms = took.as_millis(), "Completed a step of the start");
        let milliseconds = u64::try_from(took.as_millis()).unwrap_or(u64::MAX);
        self.progress.tell(Event::Done { step: self.name.to_owned(), detail, milliseconds });
    }
}

/// Shows the events of another process until its end of the pipe is closed or it has said how it ended; gives that word.
pub(crate) fn relay(from: impl BufRead, progress: &Progress) -> Option<Event> {
    for line in from.lines() {
        let Ok(event) = serde_json::from_str::<Event>(&line.ok()?) else { continue };
        if matches!(event, Event::Ready(_) | Event::Failed(_)) {
            return Some(event);
        }
        progress.tell(event);
    }
    None
}

fn line(event: &Event) -> Option<String> {
    match event {
        Event::Begin { .. } => None,
        Event::Done { step, detail, milliseconds } => {
            Some(format!("{step:NAME_WIDTH$} {:>7}  {detail}", seconds(*milliseconds)).trim_end().to_owned())
        }
        Event::Note(text) | Event::Ready(text) => Some(text.clone()),
        Event::Failed(text) => Some(format!("error: {text}")),
    }
}

fn show(bar: &mut Option<ProgressBar>, event: Event) {
    let Some(line) = line(&event) else {
        if let Event::Begin { step } = event {
            let style = ProgressStyle::with_template("{spinner} {msg} {elapsed}").expect("the template is right");
            let spinner = ProgressBar::new_spinner().with_style(style).with_message(format!("{step:NAME_WIDTH$}"));
            // indicatif's own thread draws it; eight pictures a second look alive.
            spinner.enable_steady_tick(Duration::from_millis(120));
            *bar = Some(spinner);
        }
        return;
    };
    // The result takes the place of the spinner.
    if let Some(bar) = bar.take() {
        bar.finish_and_clear();
    }
    let mark = if matches!(event, Event::Done { .. }) { "* " } else { "" };
    let _ = writeln!(std::io::stderr().lock(), "{mark}{line}");
}

fn seconds(milliseconds: u64) -> String {
    format!("{}.{:02} s", milliseconds / 1_000, milliseconds % 1_000 / 10)
}

#[cfg(test)]
mod tests {
    use corten_base::SystemClock;

    use super::*;

    #[test]
    fn a_step_is_one_line_with_its_time() {
        let done = Event::Done { step: "API server".to_owned(), detail: "https://x".to_owned(), milliseconds: 1_234 };
        assert_eq!(line(&done).unwrap(), "API server            1.23 s  https://x");
        assert_eq!(line(&Event::Begin { step: "API server".to_owned() }), None);
    }

    #[test]
    fn the_daemons_last_word_is_given_to_the_waiting_process() {
        let progress = Progress::for_log(SystemClock::shared());
        let step = r#"{"done":{"step":"store","detail":"","milliseconds":3}}"#;
        let text = format!("{step}\nnoise\n{}\n{step}\n", r#"{"ready":"done"}"#);
        assert_eq!(relay(text.as_bytes(), &progress), Some(Event::Ready("done".to_owned())));
        assert_eq!(relay(step.as_bytes(), &progress), None);
    }
}

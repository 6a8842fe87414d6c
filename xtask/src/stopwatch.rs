//! Wall time of what a task does. The one place in xtask that asks the system's clock.

use std::time::{Duration, Instant};

pub(crate) struct Stopwatch(Instant);

impl Stopwatch {
    #[expect(clippy::disallowed_methods, reason = "a task reports how long it really took; no simulator replays it")]
    pub(crate) fn start() -> Self {
        Self(Instant::now())
    }

    pub(crate) fn elapsed(&self) -> Duration {
        self.0.elapsed()
    }

    pub(crate) fn elapsed_text(&self) -> String {
        text(self.elapsed())
    }
}

/// `0.4 s`, `12 s`, `3 min 05 s`.
pub(crate) fn text(duration: Duration) -> String {
    let seconds = duration.as_secs_f64();
    if seconds < 10.0 {
        format!("{seconds:.1} s")
    } else if seconds < 60.0 {
        format!("{seconds:.0} s")
    } else {
        format!("{} min {:02} s", duration.as_secs() / 60, duration.as_secs() % 60)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn prints_times_as_people_say_them() {
        let check = |millis, want| assert_eq!(text(Duration::from_millis(millis)), want);
        check(432, "0.4 s");
        check(12_300, "12 s");
        check(185_000, "3 min 05 s");
    }
}

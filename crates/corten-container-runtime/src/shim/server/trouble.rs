//! Something that may go wrong again and again: how often its log hears of it.
//!
//! Pure. What containers do must not fill the run directory, which is memory on most machines, and nobody rotates the shim's
//! log.

use std::time::Duration;

/// The least time between two complaints about one thing that works in between.
const PAUSE: Duration = Duration::from_secs(60);

/// One thing that may go wrong.
#[derive(Debug, Default)]
pub(super) struct Trouble {
    /// When it was last complained of; a monotonic time.
    told_at: Option<Duration>,
    /// It was, and has not worked since.
    is_known: bool,
}

impl Trouble {
    /// Takes in what came of another try, at the monotonic time `now`. Whether to complain: once, until it has worked again.
    pub(super) fn is_news(&mut self, failed: bool, now: Duration) -> bool {
        let may_tell = self.told_at.is_none_or(|at| now.saturating_sub(at) >= PAUSE);
        let is_news = failed && !self.is_known && may_tell;
        if is_news {
            self.told_at = Some(now);
        }
        self.is_known = failed && (self.is_known || is_news);
        is_news
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// `tries` are seconds and whether it failed then; wanted are the seconds of complaints.
    #[track_caller]
    fn check(tries: &[(u64, bool)], want: &[u64]) {
        let mut trouble = Trouble::default();
        let told = tries.iter().filter(|(at, failed)| trouble.is_news(*failed, Duration::from_secs(*at)));
        assert_eq!(told.map(|(at, _)| *at).collect::<Vec<_>>(), want, "{tries:?}");
    }

    #[test]
    fn what_does_not_work_is_told_once_until_it_has_worked() {
        check(&[(5, false)], &[]);
        check(&[(0, true), (1, true), (3_600, true)], &[0]);
        check(&[(0, true), (60, false), (61, true), (62, true)], &[0, 61]);
    }

    #[test]
    fn what_works_now_and_then_is_told_once_a_minute() {
        let tries: Vec<(u64, bool)> = (0..180).map(|second| (second, second % 2 == 0)).collect();
        check(&tries, &[0, 60, 120]);
        // It goes on failing: that is told late, but told.
        check(&[(0, true), (1, false), (2, true), (59, true), (60, true), (61, true)], &[0, 60]);
    }
}

//! Server-side printing: the columns of a kind and the cells of one object.
//!
//! Upstream: pkg/printers/internalversion/printers.go (v1.35) for names, formats, priorities and cell texts.

use std::{fmt, time::Duration};

use jiff::Timestamp;

use crate::value::{Str, Value};

/// How objects of a kind print.
pub struct TableDefinition {
    /// The columns, first one `Name`.
    pub columns: &'static [Column],
    /// The cells of one object, one per column and in their order.
    pub row: fn(&Value, &RowContext) -> Vec<Cell>,
    /// What there is to say of the row of one object, such as that the object is finished.
    pub conditions: Option<fn(&Value) -> Vec<RowCondition>>,
    /// What the rows of a list are sorted by, before the name; by name and namespace alone if there is nothing.
    pub rank: Option<fn(&Value) -> i64>,
}

/// What there is to say of a row, and it is so. Upstream: `metav1.TableRowCondition`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RowCondition {
    /// `Completed`: the object has reached its end.
    pub ty: &'static str,
    /// Why, in one word.
    pub reason: &'static str,
    /// Why, for people.
    pub message: &'static str,
}

impl fmt::Debug for TableDefinition {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("TableDefinition").field("columns", &self.columns).finish_non_exhaustive()
    }
}

/// One column.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Column {
    /// The title.
    pub name: Str,
    /// `string`, `integer`, `number`, `boolean` or `date`.
    pub ty: Str,
    /// `name` for the column that names the object; else empty, or a format of OpenAPI.
    pub format: Str,
    /// What the column means.
    pub description: Str,
    /// 0 for columns that are always shown, 1 for those of `-o wide`.
    pub priority: i32,
}

impl Column {
    /// A column that is always shown, of any type and format.
    #[must_use]
    pub const fn new(name: &'static str, ty: &'static str, format: &'static str, description: &'static str) -> Self {
        Self {
            name: Str::const_new(name),
            ty: Str::const_new(ty),
            format: Str::const_new(format),
            description: Str::const_new(description),
            priority: 0,
        }
    }

    /// A column of text that is always shown.
    #[must_use]
    pub const fn text(name: &'static str, description: &'static str) -> Self {
        Self::new(name, "string", "", description)
    }

    /// A column of integers that is always shown.
    #[must_use]
    pub const fn integer(name: &'static str, description: &'static str) -> Self {
        Self::new(name, "integer", "", description)
    }

    /// The column that names the object.
    pub const NAME: Self = Self::new("Name", "string", "name", "Name of the object.");
    /// The column that says how old the object is.
    pub const AGE: Self = Self::text("Age", "Time since the object was created.");

    /// The same column, shown only by `-o wide`.
    #[must_use]
    pub const fn wide(mut self) -> Self {
        self.priority = 1;
        self
    }
}

/// One cell: text, integer or truth value.
pub type Cell = Value;

/// What cells depend on besides the object.
#[derive(Debug, Clone, Copy)]
pub struct RowContext {
    /// The server's time, for ages.
    pub now: Timestamp,
}

impl RowContext {
    /// The age of a time stamp in the form of the `Age` column; `<unknown>` if there is none.
    #[must_use]
    pub fn age(&self, timestamp: Option<&str>) -> String {
        let Some(then) = timestamp.and_then(crate::meta::parse_time) else { return "<unknown>".to_owned() };
        let seconds = self.now.as_second() - then.as_second();
        // A clock that is up to two seconds ahead is no news; more is.
        if seconds < -1 {
            return "<invalid>".to_owned();
        }
        human_age(Duration::from_secs(seconds.max(0).unsigned_abs()))
    }
}

/// A duration in the short form that people read: `45s`, `3m20s`, `12m`, `5h7m`, `3d4h`, `2y45d`.
///
/// Upstream: k8s.io/apimachinery/pkg/util/duration HumanDuration (v1.35).
#[must_use]
pub fn human_age(age: Duration) -> String {
    let seconds = age.as_secs();
    let (minutes, hours) = (seconds / 60, seconds / 3_600);
    let two = |large: u64, large_unit: &str, small: u64, small_unit: &str| {
        if small == 0 { format!("{large}{large_unit}") } else { format!("{large}{large_unit}{small}{small_unit}") }
    };
    match () {
        () if seconds < 120 => format!("{seconds}s"),
        () if minutes < 10 => two(minutes, "m", seconds % 60, "s"),
        () if minutes < 180 => format!("{minutes}m"),
        () if hours < 8 => two(hours, "h", minutes % 60, "m"),
        () if hours < 48 => format!("{hours}h"),
        () if hours < 192 => two(hours / 24, "d", hours % 24, "h"),
        () if hours < 24 * 365 * 2 => format!("{}d", hours / 24),
        () if hours < 24 * 365 * 8 => two(hours / 24 / 365, "y", (hours / 24) % 365, "d"),
        () => format!("{}y", hours / 24 / 365),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ages_read_as_upstreams() {
        let cases: [(u64, &str); 14] = [
            (0, "0s"),
            (119, "119s"),
            (120, "2m"),
            (200, "3m20s"),
            (599, "9m59s"),
            (600, "10m"),
            (10_799, "179m"),
            (10_800, "3h"),
            (18_420, "5h7m"),
            (28_800, "8h"),
            (172_800, "2d"),
            (273_600, "3d4h"),
            (691_200, "8d"),
            (66_960_000, "2y45d"),
        ];
        for (seconds, want) in cases {
            assert_eq!(human_age(Duration::from_secs(seconds)), want);
        }
    }

    #[test]
    fn an_age_needs_a_time_that_has_come() {
        let context = RowContext { now: "2026-01-01T00:01:00Z".parse().unwrap() };
        assert_eq!(context.age(Some("2026-01-01T00:00:00Z")), "60s");
        assert_eq!(context.age(Some("2026-01-01T00:01:01Z")), "0s");
        assert_eq!(context.age(Some("2026-01-01T00:02:00Z")), "<invalid>");
        assert_eq!(context.age(None), "<unknown>");
    }
}

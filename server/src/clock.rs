//! What time it is, for everything that compares times.
//!
//! The system's clock in life. Where `NUAGE_TEST_CLOCK_FILE` names a file, its
//! decimal number of seconds is added, so that a test of the real binary can
//! move time (expire a lock, empty the trash) without sleeping.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::SystemTime;
use std::time::UNIX_EPOCH;

/// A moment: nanoseconds since 1970 (UTC). Years 1678 to 2262.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Timestamp(pub i64);

/// Nanoseconds in a second.
pub const NANOS: i64 = 1_000_000_000;

impl Timestamp {
    /// Returns the moment `seconds` after 1970; saturates at the ends of the range.
    pub fn from_seconds(seconds: i64) -> Self {
        Self(seconds.saturating_mul(NANOS))
    }

    /// Returns whole seconds since 1970, rounded down.
    pub fn seconds(self) -> i64 {
        self.0.div_euclid(NANOS)
    }

    /// Returns the moment `seconds` later (or earlier, when negative).
    #[must_use]
    pub fn plus_seconds(self, seconds: i64) -> Self {
        Self(self.0.saturating_add(seconds.saturating_mul(NANOS)))
    }

    /// Converts to the standard library's time; a moment before 1970 becomes 1970.
    pub fn system_time(self) -> SystemTime {
        UNIX_EPOCH + std::time::Duration::from_nanos(u64::try_from(self.0).unwrap_or(0))
    }

    /// Converts from the standard library's time; a moment before 1970 becomes 1970.
    pub fn from_system_time(time: SystemTime) -> Self {
        let nanos = time
            .duration_since(UNIX_EPOCH)
            .map_or(0, |since| since.as_nanos());
        Self(i64::try_from(nanos).unwrap_or(i64::MAX))
    }
}

/// The source of time, cheap to clone.
#[derive(Debug, Clone, Default)]
pub struct Clock {
    offset_file: Option<Arc<PathBuf>>,
}

impl Clock {
    /// Returns the system's clock.
    pub fn system() -> Self {
        Self::default()
    }

    /// Returns a clock that adds the seconds written in `file`, read at each call.
    pub fn moved_by_file(file: PathBuf) -> Self {
        Self {
            offset_file: Some(Arc::new(file)),
        }
    }

    /// Returns whether a test moves this clock, so that a jump means nothing.
    pub fn is_moved(&self) -> bool {
        self.offset_file.is_some()
    }

    /// Returns the present moment.
    #[expect(
        clippy::disallowed_methods,
        reason = "the one place that asks the system"
    )]
    pub fn now(&self) -> Timestamp {
        let now = Timestamp::from_system_time(SystemTime::now());
        match &self.offset_file {
            None => now,
            Some(file) => now.plus_seconds(
                std::fs::read_to_string(file.as_ref())
                    .ok()
                    .and_then(|text| text.trim().parse().ok())
                    .unwrap_or(0),
            ),
        }
    }
}

//! Waiting for something that another process does. Time itself is moved, not waited for.

use std::time::Duration;
use std::time::Instant;

/// Sleeps. For the few cases where the world outside must act; to let time pass, move the clock.
#[expect(
    clippy::disallowed_methods,
    reason = "the one place where a test waits for another process"
)]
pub fn pause(duration: Duration) {
    std::thread::sleep(duration);
}

/// Waits until `happened` says so and returns how long it took.
///
/// Fails with `what` when `limit` has passed.
pub fn wait_until(what: &str, limit: Duration, mut happened: impl FnMut() -> bool) -> Duration {
    let begun = Instant::now();
    loop {
        if happened() {
            return begun.elapsed();
        }
        assert!(begun.elapsed() < limit, "not within {limit:?}: {what}");
        pause(Duration::from_millis(10));
    }
}

//! Wrong guesses per (account, address), shared by all servers.
//!
//! Up to [`FAILURES_FREE`] wrong guesses are free. Each further one doubles the
//! time in which the pair is refused, up to [`DELAY_SECONDS_MAX`]. A pair that has
//! been quiet for [`WINDOW_SECONDS`] begins anew.

use crate::clock::NANOS;
use crate::clock::Timestamp;
use crate::store::metadata::error::StoreResult;
use crate::store::metadata::tx::Operation;
use crate::store::metadata::tx::Tx;

/// Wrong guesses that delay nobody: people mistype.
pub const FAILURES_FREE: i64 = 9;
/// Quiet seconds after which wrong guesses are forgotten.
pub const WINDOW_SECONDS: i64 = 600;
/// The longest delay: a guesser gets some hundred guesses a day.
pub const DELAY_SECONDS_MAX: i64 = 600;

/// The first delay; each further wrong guess doubles it.
const DELAY_SECONDS_MIN: i64 = 5;

/// Returns how long a pair is refused after so many wrong guesses.
pub fn delay_seconds(failures: i64) -> i64 {
    if failures <= FAILURES_FREE {
        return 0;
    }
    let doublings = u32::try_from(failures - FAILURES_FREE - 1).unwrap_or(u32::MAX);
    2_i64
        .saturating_pow(doublings)
        .saturating_mul(DELAY_SECONDS_MIN)
        .min(DELAY_SECONDS_MAX)
}

/// Who guesses at what.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Pair {
    /// The folded name, whether or not such an account exists.
    pub account: String,
    /// The address, or for IPv6 its /64 network.
    pub address: String,
}

/// Reads until when a pair is refused; `None`: no wrong guess is known.
#[derive(Debug, Clone)]
pub struct FindThrottle(pub Pair);

impl Operation for FindThrottle {
    type Output = Option<Timestamp>;

    async fn run<T: Tx>(&self, tx: &mut T) -> StoreResult<Option<Timestamp>> {
        tx.row(
            "SELECT until FROM throttle WHERE account = $1 AND address = $2",
            &[
                self.0.account.as_str().into(),
                self.0.address.as_str().into(),
            ],
            |row| Ok(Timestamp(row.int(0)?)),
        )
        .await
    }
}

/// Counts a wrong guess and yields until when the pair is refused.
#[derive(Debug, Clone)]
pub struct RecordFailure {
    /// Who guessed at what.
    pub pair: Pair,
    /// The present moment.
    pub now: Timestamp,
}

impl Operation for RecordFailure {
    type Output = Timestamp;

    async fn run<T: Tx>(&self, tx: &mut T) -> StoreResult<Timestamp> {
        let account = self.pair.account.as_str();
        let address = self.pair.address.as_str();
        let quiet_since = self.now.plus_seconds(-WINDOW_SECONDS);
        // The upsert comes first: it holds the row, so that no count is lost.
        tx.perform(
            "INSERT INTO throttle (account, address, failures, until, at) \
             VALUES ($1, $2, 1, 0, $3) ON CONFLICT (account, address) DO UPDATE SET \
             failures = CASE WHEN throttle.at < $4 AND throttle.until < $4 THEN 1 \
             ELSE throttle.failures + 1 END, at = excluded.at",
            &[
                account.into(),
                address.into(),
                self.now.0.into(),
                quiet_since.0.into(),
            ],
        )
        .await?;
        let failures = tx
            .row(
                "SELECT failures FROM throttle WHERE account = $1 AND address = $2",
                &[account.into(), address.into()],
                |row| row.int(0),
            )
            .await?
            .unwrap_or(1);
        let until = match delay_seconds(failures) {
            0 => Timestamp(0),
            seconds => self.now.plus_seconds(seconds),
        };
        tx.perform(
            "UPDATE throttle SET until = $1 WHERE account = $2 AND address = $3",
            &[until.0.into(), account.into(), address.into()],
        )
        .await?;
        Ok(until)
    }
}

/// Forgets the wrong guesses of a pair, because a right one came.
#[derive(Debug, Clone)]
pub struct ClearThrottle(pub Pair);

impl Operation for ClearThrottle {
    type Output = ();

    async fn run<T: Tx>(&self, tx: &mut T) -> StoreResult<()> {
        tx.perform(
            "DELETE FROM throttle WHERE account = $1 AND address = $2",
            &[
                self.0.account.as_str().into(),
                self.0.address.as_str().into(),
            ],
        )
        .await?;
        Ok(())
    }
}

/// Deletes what is over; a background job.
#[derive(Debug, Clone)]
pub struct SweepThrottles {
    /// The present moment.
    pub now: Timestamp,
}

impl Operation for SweepThrottles {
    type Output = u64;

    async fn run<T: Tx>(&self, tx: &mut T) -> StoreResult<u64> {
        // A delay is never longer than the window, so `until` lies before twice the window.
        let before = Timestamp(self.now.0 - 2 * WINDOW_SECONDS * NANOS);
        tx.execute("DELETE FROM throttle WHERE at < $1", &[before.0.into()])
            .await
    }
}

#[cfg(test)]
mod tests {
    use super::delay_seconds;

    #[test]
    fn the_delay_doubles_from_the_tenth_wrong_guess_to_ten_minutes() {
        let delays = [0, 1, 9, 10, 11, 12, 16, 17, 1000, i64::MAX].map(delay_seconds);
        assert_eq!(delays, [0, 0, 0, 5, 10, 20, 320, 600, 600, 600]);
    }
}

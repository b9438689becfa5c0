//! Slows guessing down: who may try a password now.
//!
//! What counts is in the database, shared by all servers. This front keeps one
//! pair of account and address to one attempt at a time, so that parallel guesses cannot
//! all pass before the first is counted, and remembers who is refused, so that a flood of
//! refused attempts does not reach the database.

use std::collections::HashMap;
use std::net::IpAddr;
use std::net::Ipv6Addr;
use std::sync::Arc;
use std::sync::Mutex;
use std::sync::PoisonError;
use std::sync::Weak;
use std::time::Duration;

use moka::sync::Cache;

use crate::clock::NANOS;
use crate::clock::Timestamp;
use crate::identity::error::IdentityError;
use crate::store::metadata::accounts::throttles::DELAY_SECONDS_MAX;
use crate::store::metadata::accounts::throttles::Pair;

/// How many refused pairs are remembered here.
const REFUSED_MAX: u64 = 10_000;
/// How many requests of one pair may wait for each other.
const WAITING_MAX: usize = 256;
/// How many pairs may be known before those without an attempt are dropped.
const PAIRS_SWEPT_AT: usize = 1024;

/// Taken by one attempt of a pair at a time.
pub(super) type Turn = Arc<tokio::sync::Mutex<()>>;

/// The front of the throttle.
pub(super) struct Throttle {
    refused: Cache<Pair, Timestamp>,
    turns: Mutex<HashMap<Pair, Weak<tokio::sync::Mutex<()>>>>,
}

impl Throttle {
    /// Knows nobody yet.
    pub(super) fn new() -> Self {
        let seconds = DELAY_SECONDS_MAX.unsigned_abs();
        Self {
            refused: Cache::builder()
                .max_capacity(REFUSED_MAX)
                .time_to_live(Duration::from_secs(seconds))
                .build(),
            turns: Mutex::default(),
        }
    }

    /// Returns what an attempt of this pair must lock; fails when too many wait for it.
    pub(super) fn turn(&self, pair: &Pair) -> Result<Turn, IdentityError> {
        let mut turns = self.turns.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(turn) = turns.get(pair).and_then(Weak::upgrade) {
            if Arc::strong_count(&turn) > WAITING_MAX {
                return Err(IdentityError::Busy);
            }
            return Ok(turn);
        }
        if turns.len() >= PAIRS_SWEPT_AT {
            turns.retain(|_, turn| turn.strong_count() > 0);
        }
        let turn = Turn::default();
        turns.insert(pair.clone(), Arc::downgrade(&turn));
        Ok(turn)
    }

    /// Fails when this process knows that the pair is refused at `now`.
    pub(super) fn check(&self, pair: &Pair, now: Timestamp) -> Result<(), IdentityError> {
        match self.refused.get(pair) {
            Some(until) if until > now => Err(throttled(until, now)),
            _ => Ok(()),
        }
    }

    /// Remembers until when a pair is refused, and fails if that is after `now`.
    pub(super) fn note(
        &self,
        pair: &Pair,
        until: Timestamp,
        now: Timestamp,
    ) -> Result<(), IdentityError> {
        if until <= now {
            return Ok(());
        }
        self.refused.insert(pair.clone(), until);
        Err(throttled(until, now))
    }

    /// Forgets one pair, because it came with the right password.
    pub(super) fn forget(&self, pair: &Pair) {
        self.refused.invalidate(pair);
    }

    /// Forgets all, so that the database is asked again.
    pub(super) fn forget_all(&self) {
        self.refused.invalidate_all();
    }
}

fn throttled(until: Timestamp, now: Timestamp) -> IdentityError {
    let nanos = until.0.saturating_sub(now.0).max(1);
    IdentityError::Throttled {
        retry_after_seconds: nanos.unsigned_abs().div_ceil(NANOS.unsigned_abs()),
    }
}

/// Makes the pair; of an IPv6 address only the network counts, which one customer has to himself.
pub(super) fn pair(account_fold: &str, address: IpAddr) -> Pair {
    let address = match address.to_canonical() {
        IpAddr::V4(address) => address.to_string(),
        IpAddr::V6(address) => {
            let network = address.to_bits() & !u128::from(u64::MAX);
            format!("{}/64", Ipv6Addr::from_bits(network))
        }
    };
    Pair {
        account: account_fold.to_owned(),
        address,
    }
}

#[cfg(test)]
mod tests {
    use std::net::IpAddr;

    use super::pair;

    fn address_of(text: &str) -> String {
        pair("ana", text.parse::<IpAddr>().unwrap()).address
    }

    #[test]
    fn a_customer_has_one_address_however_many_he_uses() {
        assert_eq!(address_of("2001:db8:1:2:3:4:5:6"), "2001:db8:1:2::/64");
        assert_eq!(address_of("2001:db8:1:2::9"), "2001:db8:1:2::/64");
        assert_eq!(address_of("::ffff:192.0.2.7"), "192.0.2.7");
        assert_eq!(address_of("192.0.2.7"), "192.0.2.7");
    }
}

//! Values that may be typed after options: quotas, spans of time, whose quota.

use std::str::FromStr;

use serde::Serialize;

use crate::identity::Quota;
use crate::identity::SpaceUse;
use crate::size::ByteSize;
use crate::size::SizeFault;

/// A quota as it is typed: a size, `none` or `default`.
#[derive(Debug, Clone, Copy)]
pub(super) struct TypedQuota(pub(super) Quota);

impl FromStr for TypedQuota {
    type Err = SizeFault;

    fn from_str(text: &str) -> Result<Self, SizeFault> {
        let quota = match text {
            "default" => Quota::Default,
            "none" => Quota::Unlimited,
            size => Quota::Bytes(size.parse::<ByteSize>()?.bytes()),
        };
        Ok(Self(quota))
    }
}

/// A span of time as it is typed: `90d`, `12h`, `6w`, `1y`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Span {
    pub(super) seconds: i64,
}

/// A text that is no span of time.
#[derive(Debug, thiserror::Error)]
#[error("write a number with a unit: 30m, 12h, 90d, 6w or 1y")]
pub(super) struct SpanFault;

impl FromStr for Span {
    type Err = SpanFault;

    fn from_str(text: &str) -> Result<Self, SpanFault> {
        const DAY: i64 = 86_400;
        let unit = text.chars().last().ok_or(SpanFault)?;
        let unit_seconds = match unit {
            's' => 1,
            'm' => 60,
            'h' => 3_600,
            'd' => DAY,
            'w' => 7 * DAY,
            'y' => 365 * DAY,
            _ => return Err(SpanFault),
        };
        let digits = text.strip_suffix(unit).unwrap_or_default();
        let is_number = !digits.is_empty() && digits.bytes().all(|byte| byte.is_ascii_digit());
        let number: i64 = digits.parse().ok().filter(|_| is_number).ok_or(SpanFault)?;
        // No clock of ours goes further than 2262.
        let seconds = number
            .checked_mul(unit_seconds)
            .filter(|seconds| (1..=100 * 365 * DAY).contains(seconds))
            .ok_or(SpanFault)?;
        Ok(Self { seconds })
    }
}

/// What a space holds and may hold, as it is printed.
#[derive(Debug, Serialize)]
pub(super) struct PrintedUse {
    used_bytes: u64,
    files: u64,
    kept_bytes: u64,
    /// `default`, `none` or `own`.
    quota: &'static str,
    /// What holds in the end; none: no limit.
    quota_bytes: Option<u64>,
}

impl PrintedUse {
    pub(super) fn of(space: &SpaceUse, default_bytes: Option<u64>) -> Self {
        let (quota, quota_bytes) = match space.quota {
            Quota::Default => ("default", default_bytes),
            Quota::Unlimited => ("none", None),
            Quota::Bytes(bytes) => ("own", Some(bytes)),
        };
        Self {
            used_bytes: space.used_bytes,
            files: space.files,
            kept_bytes: space.kept_bytes,
            quota,
            quota_bytes,
        }
    }

    /// Returns what is used, for people.
    pub(super) fn used(&self) -> String {
        ByteSize::from_bytes(self.used_bytes).rounded()
    }

    /// Returns what is kept of the past, for people.
    pub(super) fn kept(&self) -> String {
        ByteSize::from_bytes(self.kept_bytes).rounded()
    }

    /// Returns the limit, for people.
    pub(super) fn limit(&self) -> String {
        let size = self.quota_bytes.map_or_else(
            || "no limit".to_owned(),
            |bytes| ByteSize::from_bytes(bytes).to_string(),
        );
        match self.quota {
            "default" => format!("{size} (default)"),
            _ => size,
        }
    }

    /// Returns the number of files, for people.
    pub(super) fn files(&self) -> String {
        self.files.to_string()
    }
}

#[cfg(test)]
mod tests {
    use super::Span;

    fn seconds(text: &str) -> Option<i64> {
        text.parse().ok().map(|span: Span| span.seconds)
    }

    #[test]
    fn spans_have_a_number_and_a_unit() {
        assert_eq!(seconds("90d"), Some(90 * 86_400));
        assert_eq!(seconds("12h"), Some(43_200));
        for wrong in [
            "",
            "d",
            "90",
            "-1d",
            "+1d",
            "0d",
            "1.5d",
            "90 d",
            "1000000000y",
            "9é",
        ] {
            assert_eq!(seconds(wrong), None, "{wrong}");
        }
    }
}

//! Billing periods: an anchor plus n times an interval, clamped at the end of a month.

use serde::{Deserialize, Serialize};
use time::{Date, Month, OffsetDateTime};

const DAY: i64 = 86_400;

/// The unit a recurring price is billed in.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Interval {
    /// 24 hours.
    Day,
    /// Seven days.
    Week,
    /// A calendar month.
    Month,
    /// A calendar year.
    Year,
}

impl Interval {
    /// Reads Stripe's word.
    pub(super) fn parse(word: &str) -> Option<Self> {
        match word {
            "day" => Some(Self::Day),
            "week" => Some(Self::Week),
            "month" => Some(Self::Month),
            "year" => Some(Self::Year),
            _ => None,
        }
    }

    /// Stripe's word.
    pub fn word(self) -> &'static str {
        match self {
            Self::Day => "day",
            Self::Week => "week",
            Self::Month => "month",
            Self::Year => "year",
        }
    }

    /// The most of them one period may hold: three years.
    pub(super) fn max_count(self) -> i64 {
        match self {
            Self::Day => 1095,
            Self::Week => 156,
            Self::Month => 36,
            Self::Year => 3,
        }
    }

    /// The second that lies `count` intervals after `anchor`.
    pub(super) fn after(self, anchor: i64, count: i64) -> i64 {
        match self {
            Self::Day => anchor + count * DAY,
            Self::Week => anchor + count * 7 * DAY,
            Self::Month => months_after(anchor, count),
            Self::Year => months_after(anchor, count * 12),
        }
    }
}

fn months_after(anchor: i64, months: i64) -> i64 {
    // A month that does not exist on the calendar falls back to its mean length.
    calendar_months_after(anchor, months).unwrap_or(anchor + months * 2_629_746)
}

fn calendar_months_after(anchor: i64, months: i64) -> Option<i64> {
    let start = OffsetDateTime::from_unix_timestamp(anchor).ok()?;
    let index = i64::from(start.year()) * 12 + i64::from(u8::from(start.month())) - 1 + months;
    let year = i32::try_from(index.div_euclid(12)).ok()?;
    let month = Month::try_from(u8::try_from(index.rem_euclid(12) + 1).ok()?).ok()?;
    let day = start.day().min(month.length(year));
    let date = Date::from_calendar_date(year, month, day).ok()?;
    Some(start.replace_date(date).unix_timestamp())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn months_clamp_at_the_end_and_keep_the_anchor_day() {
        let january_31 = 1_706_659_200; // 2024-01-31T00:00:00Z
        assert_eq!(Interval::Month.after(january_31, 1), 1_709_164_800); // 2024-02-29
        assert_eq!(Interval::Month.after(january_31, 2), 1_711_843_200); // 2024-03-31
        assert_eq!(
            Interval::Month.after(january_31, 12),
            Interval::Year.after(january_31, 1)
        );
        assert_eq!(Interval::Week.after(0, 2), 14 * DAY);
    }
}

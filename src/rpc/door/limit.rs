//! How long a call may take until its answer begins: what the client asked for in
//! `grpc-timeout`, and never more than the cap.
//!
//! The framework enforces `grpc-timeout` too, but answers CANCELLED without a
//! reason. So ours must fire first: it starts no later and is a millisecond shorter.

use std::time::Duration;

use http::HeaderMap;
use tokio::time::Instant;

const HEADER: &str = "grpc-timeout";
const AHEAD: Duration = Duration::from_millis(1);
/// Enough for an answer to be written and to arrive.
const LAST_WORD: Duration = Duration::from_millis(500);

/// When a handler that only waits for others should answer, so that its own word reaches
/// the caller and not our DEADLINE_EXCEEDED.
#[derive(Clone, Copy, Debug)]
pub struct AnswerBy(pub Instant);

impl AnswerBy {
    pub(super) fn of(began: Instant, limit: Duration) -> Self {
        Self(began + limit - (limit / 10).min(LAST_WORD))
    }
}

/// The cap.
#[derive(Clone, Copy, Debug)]
pub struct Limit {
    cap: Duration,
}

impl Limit {
    /// No call takes longer than `cap`; streams end when their client's own time is up.
    pub fn new(cap: Duration) -> Self {
        Self { cap }
    }

    /// What the client asked for. A header that cannot be read asks for nothing.
    pub(super) fn asked(self, headers: &HeaderMap) -> Option<Duration> {
        let text = headers.get(HEADER)?.to_str().ok()?;
        Some(parse(text)?.saturating_sub(AHEAD))
    }

    /// What the call gets.
    pub(super) fn capped(self, asked: Option<Duration>) -> Duration {
        asked.map_or(self.cap, |asked| asked.min(self.cap))
    }
}

/// At most eight digits and a unit.
fn parse(text: &str) -> Option<Duration> {
    let (digits, unit) = text.split_at_checked(text.len().checked_sub(1)?)?;
    if digits.is_empty() || digits.len() > 8 || !digits.bytes().all(|byte| byte.is_ascii_digit()) {
        return None;
    }
    let amount: u64 = digits.parse().ok()?;
    match unit {
        "H" => Some(Duration::from_secs(amount * 3600)),
        "M" => Some(Duration::from_secs(amount * 60)),
        "S" => Some(Duration::from_secs(amount)),
        "m" => Some(Duration::from_millis(amount)),
        "u" => Some(Duration::from_micros(amount)),
        "n" => Some(Duration::from_nanos(amount)),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use http::HeaderMap;

    use tokio::time::Instant;

    use super::{AnswerBy, Limit, parse};

    #[test]
    fn time_outs_are_read_as_the_protocol_writes_them() {
        for (text, nanos) in [
            ("2H", 7_200_000_000_000),
            ("3M", 180_000_000_000),
            ("5S", 5_000_000_000),
            ("250m", 250_000_000),
            ("99999999u", 99_999_999_000),
            ("0n", 0),
        ] {
            assert_eq!(parse(text), Some(Duration::from_nanos(nanos)), "{text}");
        }
        for text in [
            "",
            "S",
            "5",
            "5s",
            "-5S",
            "+5S",
            "123456789S",
            "5 S",
            "5\u{e9}",
            "\u{e9}",
        ] {
            assert_eq!(parse(text), None, "{text}");
        }
    }

    #[test]
    fn a_last_word_is_spoken_before_the_time_is_up() {
        let began = Instant::now();
        for (limit_ms, answered_ms) in [(10_000, 9_500), (5_000, 4_500), (2_000, 1_800), (0, 0)] {
            let by = AnswerBy::of(began, Duration::from_millis(limit_ms));
            assert_eq!(by.0 - began, Duration::from_millis(answered_ms));
        }
    }

    #[test]
    fn the_shorter_one_counts() {
        let limit = Limit::new(Duration::from_secs(10));
        let asked = |text: &'static str| {
            let headers: HeaderMap = [(super::HEADER.parse().unwrap(), text.parse().unwrap())]
                .into_iter()
                .collect();
            limit.capped(limit.asked(&headers))
        };
        assert_eq!(asked("1H"), Duration::from_secs(10));
        assert_eq!(asked("2S"), Duration::from_millis(1999));
        assert_eq!(asked("1m"), Duration::ZERO);
        assert_eq!(asked("soon"), Duration::from_secs(10));
        assert_eq!(
            limit.capped(limit.asked(&HeaderMap::new())),
            Duration::from_secs(10)
        );
    }
}

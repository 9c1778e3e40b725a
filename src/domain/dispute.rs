//! What a dispute means for a server: the one place where Stripe's words for disputes are read.

use serde::{Deserialize, Serialize};

use super::words::words;

words! {
    /// What is done about payments that a bank disputes.
    #[derive(Serialize, Deserialize)]
    #[serde(rename_all = "lowercase")]
    DisputePolicy {
        /// The server stands still until the dispute is won; one that is lost ends the order.
        Suspend = "suspend",
        /// They are noted, and people decide.
        Ignore = "ignore",
    }
}

words! {
    /// What a shop does where somebody gave a payment back whole, at Stripe.
    RefundPolicy {
        /// The subscription ends, and with it what was paid for.
        End = "end",
        /// It is noted, and people decide.
        Keep = "keep",
    }
}

/// Where a dispute stands, by Stripe's own word (`dispute.status`).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Claim {
    /// `needs_response`, `under_review`: the bank has the money, and may keep it.
    Open,
    /// `warning_needs_response`, `warning_under_review`: a question, and no money was taken.
    Asked,
    /// `won`, `warning_closed`, `prevented`: over, and the money is the shop's.
    Won,
    /// `lost`: over, and the money is gone.
    Lost,
    /// Not read yet, or a word that Stripe has since added.
    Unclear,
}

impl Claim {
    /// Where this word of Stripe's stands.
    pub fn of(status: &str) -> Self {
        match status {
            "needs_response" | "under_review" => Self::Open,
            "warning_needs_response" | "warning_under_review" => Self::Asked,
            // Refunded before the bank decided: nothing is left to dispute.
            "won" | "warning_closed" | "prevented" | "charge_refunded" => Self::Won,
            "lost" => Self::Lost,
            _ => Self::Unclear,
        }
    }

    /// Its name in metrics.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Open => "open",
            Self::Asked => "asked",
            Self::Won => "won",
            Self::Lost => "lost",
            Self::Unclear => "unclear",
        }
    }

    /// Whether Stripe will say nothing else any more.
    pub fn is_final(self) -> bool {
        matches!(self, Self::Won | Self::Lost)
    }
}

/// Since when an order's server stands still for its disputes, after a read that showed these.
/// A word that we do not know leaves it as it was.
pub fn disputed_since(
    policy: DisputePolicy,
    claims: impl Iterator<Item = Claim>,
    before_us: Option<i64>,
    read_us: i64,
) -> Option<i64> {
    if policy == DisputePolicy::Ignore {
        return None;
    }
    let (mut open, mut unclear) = (false, false);
    for claim in claims {
        open |= matches!(claim, Claim::Open | Claim::Lost);
        unclear |= claim == Claim::Unclear;
    }
    match (open, unclear) {
        (true, _) => before_us.or(Some(read_us)),
        (false, true) => before_us,
        (false, false) => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn since(claims: &[Claim], before_us: Option<i64>) -> Option<i64> {
        disputed_since(DisputePolicy::Suspend, claims.iter().copied(), before_us, 9)
    }

    #[test]
    fn a_server_stands_still_while_a_bank_has_its_money() {
        assert_eq!(since(&[], None), None);
        assert_eq!(since(&[Claim::Open], None), Some(9));
        assert_eq!(
            since(&[Claim::Open], Some(3)),
            Some(3),
            "never dated back or on"
        );
        assert_eq!(since(&[Claim::Won], Some(3)), None);
        assert_eq!(
            since(&[Claim::Won, Claim::Open], Some(3)),
            Some(3),
            "any of them"
        );
        assert_eq!(since(&[Claim::Lost], Some(3)), Some(3), "the money is gone");
        assert_eq!(
            since(&[Claim::Asked], None),
            None,
            "a question takes nothing"
        );
    }

    #[test]
    fn a_word_that_nobody_knows_changes_nothing() {
        assert_eq!(Claim::of("a_new_word"), Claim::Unclear);
        assert_eq!(since(&[Claim::Unclear], None), None);
        assert_eq!(since(&[Claim::Unclear], Some(3)), Some(3));
        assert_eq!(since(&[Claim::Unclear, Claim::Open], None), Some(9));
    }

    #[test]
    fn a_shop_may_leave_it_to_people() {
        let claims = [Claim::Open, Claim::Lost];
        let ignore = DisputePolicy::Ignore;
        assert_eq!(disputed_since(ignore, claims.into_iter(), Some(3), 9), None);
    }

    #[test]
    fn every_word_of_stripes_has_its_meaning() {
        for (word, claim, last) in [
            ("warning_needs_response", Claim::Asked, false),
            ("warning_under_review", Claim::Asked, false),
            ("warning_closed", Claim::Won, true),
            ("needs_response", Claim::Open, false),
            ("under_review", Claim::Open, false),
            ("won", Claim::Won, true),
            ("lost", Claim::Lost, true),
            ("prevented", Claim::Won, true),
        ] {
            assert_eq!(
                (Claim::of(word), Claim::of(word).is_final()),
                (claim, last),
                "{word}"
            );
        }
    }
}

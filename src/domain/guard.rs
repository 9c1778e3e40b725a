//! The guard of sweeps: how much one of them may have done to servers within an hour before
//! somebody has to look. A bug of Stripe's, or of ours, must not stop a whole shop in a night.
//!
//! Counted is only what a sweep alone brings in. A suspend or delete whose very subscription was
//! read as such just before does not count, nor what an operator or a customer ordered. So today
//! it is the suspends whose only reason is a dispute, all of which the sweep `charges` finds;
//! each delete follows a read of its subscription, and none counts.
//!
//! The sweep `servers` does nothing to a server, but what it finds may be wrong all at once as well:
//! where too many are gone from the panel, it is held before it says so of each.
//!
//! A guard stops: once that many are reached it is held, also when the hour has passed, until an
//! operator releases it. What it lets pass by itself an hour later would only be slower. What
//! waits by then has been looked at: it passes, and the count begins anew without it.

use super::{MINUTE_US, order::visible::rfc3339, words::words};

/// The sweep whose acts are guarded: it asks Stripe whose a disputed payment is.
pub const CHARGES: &str = "charges";

/// The sweep that looks for servers that are gone from the panel.
pub const SERVERS: &str = "servers";

/// The cursor of that one after a release, and when that was in microseconds: whatever is gone is
/// stored, however much it is.
pub const RELEASED: &str = "released ";

/// Acts count for so long.
pub const WINDOW_US: i64 = 60 * MINUTE_US;

words! {
    /// What is done to a server.
    Act {
        /// It is stopped.
        Suspend = "suspend",
        /// It goes, with all that is on it.
        Delete = "delete",
    }
}

impl Act {
    /// So many pass in any shop, and of a large one so many of a hundred servers.
    const fn bounds(self) -> (u64, u64) {
        match self {
            Self::Suspend => (5, 5),
            Self::Delete => (3, 1),
        }
    }

    /// How many pass within an hour whatever the shop has.
    pub const fn least(self) -> u64 {
        self.bounds().0
    }

    /// How many pass within an hour of so many live servers: more than that share of them is too
    /// much, so the share is rounded down.
    pub fn most(self, live: u64) -> u64 {
        let (least, percent) = self.bounds();
        least.max(live.saturating_mul(percent) / 100)
    }
}

/// How many of so many servers may be found gone from the panel within an hour before it is the
/// panel that has to be looked at: as many as may be suspended in that time.
pub fn most_gone(live: usize) -> usize {
    let most = Act::Suspend.most(u64::try_from(live).unwrap_or(u64::MAX));
    usize::try_from(most).unwrap_or(usize::MAX)
}

/// More servers are gone from the panel than may be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TooManyGone {
    /// How many, within an hour.
    pub gone: usize,
    /// Of how many that ought to be there.
    pub live: usize,
}

impl TooManyGone {
    /// As operators read it.
    pub fn text(&self, now_us: i64) -> String {
        let Self { gone, live } = *self;
        let now = rfc3339(now_us);
        format!(
            "held since {now}: {gone} of {live} servers were found gone from the panel within an \
             hour; ReleaseGuard has the rest of their orders parked as SERVER_MISSING"
        )
    }
}

/// What passed within the hour, where no more may.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Reached {
    /// What was done.
    pub act: Act,
    /// How often.
    pub count: u64,
    /// Since when.
    pub since_us: i64,
    /// How many may pass.
    pub most: u64,
    /// Of how many live servers.
    pub live: u64,
}

impl Reached {
    /// As operators read it.
    pub fn text(&self, now_us: i64) -> String {
        let Self {
            act,
            count,
            since_us,
            most,
            live,
        } = *self;
        let (since, now) = (rfc3339(since_us), rfc3339(now_us));
        format!(
            "held since {now}: {act} was done {count} times since {since}, and may be done {most} \
             times within an hour ({live} live servers); ReleaseGuard lets the rest go on"
        )
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn few_servers_have_a_least_and_many_a_share() {
        for (live, suspends, deletes) in [
            (0, 5, 3),
            (1, 5, 3),
            (99, 5, 3),
            (100, 5, 3),
            (119, 5, 3),
            (120, 6, 3),
            (139, 6, 3),
            (140, 7, 3),
            (399, 19, 3),
            (400, 20, 4),
            (10_000, 500, 100),
        ] {
            let most = (Act::Suspend.most(live), Act::Delete.most(live));
            assert_eq!(most, (suspends, deletes), "{live}");
        }
        assert_eq!((Act::Suspend.least(), Act::Delete.least()), (5, 3));
        assert!(
            Act::Suspend.most(u64::MAX) > 5,
            "no shop is too large to count"
        );
    }

    #[test]
    fn as_many_may_be_gone_as_may_be_suspended() {
        for (live, most) in [(0, 5), (100, 5), (139, 6), (10_000, 500)] {
            assert_eq!(most_gone(live), most, "{live}");
        }
        assert_eq!(
            TooManyGone { gone: 6, live: 9 }.text(0),
            "held since 1970-01-01T00:00:00Z: 6 of 9 servers were found gone from the panel \
             within an hour; ReleaseGuard has the rest of their orders parked as SERVER_MISSING"
        );
    }

    #[test]
    fn its_words_tell_how_many_since_when_and_what_to_do() {
        let reached = Reached {
            act: Act::Suspend,
            count: 5,
            since_us: 0,
            most: 5,
            live: 12,
        };
        assert_eq!(
            reached.text(WINDOW_US),
            "held since 1970-01-01T01:00:00Z: suspend was done 5 times since \
             1970-01-01T00:00:00Z, and may be done 5 times within an hour (12 live servers); \
             ReleaseGuard lets the rest go on"
        );
    }

    proptest! {
        /// As the rule is written: more than the least, and more than the share, is too much.
        #[test]
        fn one_more_is_more_than_both_bounds_and_none_more_is_not(live in 0..10_000_000_u64) {
            for (act, least, percent) in [(Act::Suspend, 5, 5), (Act::Delete, 3, 1)] {
                let too_much = |count: u64| count > least && count * 100 > live * percent;
                let most = act.most(live);
                prop_assert!(!too_much(most));
                prop_assert!(too_much(most + 1));
            }
        }

        #[test]
        fn more_servers_never_let_less_pass(live in 0..10_000_000_u64, more in 0..1_000_u64) {
            for act in Act::ALL {
                prop_assert!(act.most(live) <= act.most(live + more));
                prop_assert!(act.most(live) >= act.least());
            }
        }
    }
}

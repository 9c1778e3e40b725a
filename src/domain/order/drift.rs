//! How the panel keeps a server stopped, or does not, otherwise than it was told from here.

use super::Facts;

/// What somebody did at the panel, or did to the panel or to our store.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Drift {
    /// It is to stand still, and runs.
    LetGo,
    /// It may run, and somebody else stopped it.
    StoppedByOthers,
    /// Whoever else stopped it let it go on.
    LetGoByOthers,
}

impl Drift {
    /// Its name in metrics and logs.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::LetGo => "let_go",
            Self::StoppedByOthers => "stopped_by_others",
            Self::LetGoByOthers => "let_go_by_others",
        }
    }
}

impl Facts {
    /// What it says of a server that its customer used that the panel keeps it stopped, or does
    /// not. Nothing that was seen before, and nothing while it is installed again, or is being
    /// stopped or let go on: the panel takes its word back where the node refuses.
    pub fn drift(&self, stopped: bool) -> Option<Drift> {
        let server = &self.server;
        let shown = match server.observed_status.as_deref() {
            Some("") => false,
            Some("suspended") => true,
            _ => return None,
        };
        if !server.delivered() || server.reinstall_sent_us.is_some() || shown == stopped {
            return None;
        }
        let to_stand_still = self.billing.over() || self.suspension_reasons().any();
        match (server.suspended_us, server.suspend_sent_us) {
            (Some(_), _) if to_stand_still && !stopped => Some(Drift::LetGo),
            (None, None) if to_stand_still => None,
            (None, None) if stopped => Some(Drift::StoppedByOthers),
            (None, None) => Some(Drift::LetGoByOthers),
            // What it was told is being brought to its end.
            (Some(_), _) | (None, Some(_)) => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::order::tests::facts;

    fn used(suspended_us: Option<i64>, sent_us: Option<i64>, status: &str) -> Facts {
        let mut facts = facts();
        facts.server.panel_id = Some(1);
        facts.server.first_running_us = Some(1);
        facts.server.observed_status = Some(status.to_owned());
        facts.server.suspended_us = suspended_us;
        facts.server.suspend_sent_us = sent_us;
        facts
    }

    fn unpaid(mut facts: Facts) -> Facts {
        facts.billing.suspend_since_us = Some(1);
        facts
    }

    #[test]
    fn what_the_panel_shows_otherwise_is_told_once() {
        let runs = used(None, None, "");
        let stopped_by_others = used(None, None, "suspended");
        let theirs = unpaid(used(Some(2), None, "suspended"));
        let ours = unpaid(used(Some(2), Some(1), "suspended"));
        for (facts, stopped, drift) in [
            (&runs, false, None),
            (&runs, true, Some(Drift::StoppedByOthers)),
            (&stopped_by_others, true, None),
            (&stopped_by_others, false, Some(Drift::LetGoByOthers)),
            (&theirs, true, None),
            (&theirs, false, Some(Drift::LetGo)),
            (&ours, true, None),
            (&ours, false, Some(Drift::LetGo)),
            // Seen before: it is about to be stopped again.
            (&unpaid(used(Some(2), Some(1), "")), false, None),
            (&unpaid(used(Some(2), Some(1), "")), true, None),
            // It is being let go on, or stopped.
            (&used(Some(2), Some(1), "suspended"), false, None),
            (&unpaid(used(None, Some(1), "")), true, None),
            (&unpaid(runs.clone()), true, None),
            // Its install tells another state.
            (&used(None, None, "installing"), true, None),
        ] {
            assert_eq!(facts.drift(stopped), drift, "{:?} {stopped}", facts.server);
        }
        let mut gone = ours;
        gone.server.missing_us = Some(3);
        assert_eq!(gone.drift(false), None);
        let mut reinstalled = runs;
        reinstalled.server.reinstall_sent_us = Some(1);
        assert_eq!(reinstalled.drift(true), None);
    }
}

//! The next step of an order, from its facts alone.
//!
//! Planning is pure: it compares what the customer is entitled to with what is
//! known of Stripe and the panel. A lost message, a crash, a duplicate or a
//! second replica changes only when a step is taken, never which.

use super::{
    MINUTE_US, SECOND_US,
    order::{ErrorReason, Facts, WaitingReason},
    words::words,
};

/// When things come due. Configurable, so that tests need not wait.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Timing {
    /// After its expiry a session gets this long before Stripe is asked: events
    /// are usually faster, and a payment may be under way.
    pub session_grace_us: i64,
    /// How often a session that waits for a delayed payment is read again.
    pub delayed_payment_us: i64,
    /// A create may still land this long after it began: the panel's own worst
    /// case is 30 s, and the way there takes its time as well.
    pub settle_us: i64,
    /// Between the two look-ups that settle a create.
    pub settle_again_us: i64,
    /// Looks at the panel for a create whose order ended meanwhile, counted from the POST.
    pub late_looks_us: [i64; 3],
    /// Nothing is made on a read of Stripe that is older than this.
    pub billing_fresh_us: i64,
    /// How long an install may take before it counts as failed.
    pub install_limit_us: i64,
}

impl Default for Timing {
    fn default() -> Self {
        Self {
            session_grace_us: MINUTE_US,
            delayed_payment_us: 60 * MINUTE_US,
            settle_us: 45 * SECOND_US,
            settle_again_us: 5 * SECOND_US,
            late_looks_us: [MINUTE_US, 10 * MINUTE_US, 60 * MINUTE_US],
            billing_fresh_us: 10 * MINUTE_US,
            install_limit_us: 60 * MINUTE_US,
        }
    }
}

/// What to do next for an order.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Step {
    /// Send the stored session request to Stripe.
    OpenSession,
    /// Read session and subscription from Stripe.
    SyncBilling,
    /// Find, make or adopt the user's panel account.
    EnsureOwner,
    /// Choose node and ports, and store the attempt.
    Place,
    /// Send the create to the panel.
    CreateServer,
    /// Ask the panel what came of a create.
    SettleCreate,
    /// Look at an install that failed or takes too long, and run its script once more.
    Reinstall,
    /// Delete a server that its order no longer entitles to.
    Delete,
    /// Give room and ports back.
    Release,
    /// Stop until somebody acts.
    Park(ErrorReason),
    /// Look again at a time, for a reason that is shown.
    Wait {
        /// When.
        until_us: i64,
        /// Why.
        reason: WaitingReason,
    },
    /// Nothing until a fact arrives; shown as this reason, if any.
    Rest(Option<WaitingReason>),
}

words! {
    /// The steps in which a worker does something: with Stripe, the panel or the ledger.
    StepKind {
        /// See [`Step::OpenSession`].
        OpenSession = "OpenSession",
        /// See [`Step::SyncBilling`].
        SyncBilling = "SyncBilling",
        /// See [`Step::EnsureOwner`].
        EnsureOwner = "EnsureOwner",
        /// See [`Step::Place`].
        Place = "Place",
        /// See [`Step::CreateServer`].
        CreateServer = "CreateServer",
        /// See [`Step::SettleCreate`].
        SettleCreate = "SettleCreate",
        /// See [`Step::Reinstall`].
        Reinstall = "Reinstall",
        /// See [`Step::Delete`].
        Delete = "Delete",
        /// See [`Step::Release`].
        Release = "Release",
    }
}

impl Step {
    /// Which kind of work it is; none where there is nothing to do now.
    pub const fn kind(self) -> Option<StepKind> {
        Some(match self {
            Self::OpenSession => StepKind::OpenSession,
            Self::SyncBilling => StepKind::SyncBilling,
            Self::EnsureOwner => StepKind::EnsureOwner,
            Self::Place => StepKind::Place,
            Self::CreateServer => StepKind::CreateServer,
            Self::SettleCreate => StepKind::SettleCreate,
            Self::Reinstall => StepKind::Reinstall,
            Self::Delete => StepKind::Delete,
            Self::Release => StepKind::Release,
            Self::Park(_) | Self::Wait { .. } | Self::Rest(_) => return None,
        })
    }

    /// Its name in logs and order events.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Park(_) => "Park",
            Self::Wait { .. } => "Wait",
            Self::Rest(_) => "Rest",
            _ => match self.kind() {
                Some(kind) => kind.as_str(),
                None => "",
            },
        }
    }
}

/// The next step. Every combination of facts has one.
pub fn next_step(facts: &Facts, timing: &Timing, now_us: i64) -> Step {
    if facts.billing.over() {
        return wind_down(facts, timing, now_us);
    }
    if let Some(step) = billing_step(facts, timing, now_us) {
        return step;
    }
    // A server that ran and failed later keeps its place; parked means hands off.
    if facts.order.error_reason.is_some() {
        return settle_step(facts, timing, now_us).unwrap_or(Step::Rest(None));
    }
    provision_step(facts, timing, now_us)
}

/// What Stripe has to be told or asked, before anything else.
fn billing_step(facts: &Facts, timing: &Timing, now_us: i64) -> Option<Step> {
    let billing = &facts.billing;
    if billing.session_id.is_none() {
        return Some(Step::OpenSession);
    }
    if billing.hints > billing.hints_read {
        return Some(Step::SyncBilling);
    }
    if billing.confirmed() {
        return None;
    }
    let complete = billing.session_status.as_deref() == Some("complete");
    // Parked, it waits for a person, but what it holds still ends with its session.
    if facts.order.error_reason.is_some() && complete {
        return Some(Step::Rest(None));
    }
    let ask_us = if complete && billing.paid() {
        // Paid, but its subscription was not there yet.
        billing.read_us.unwrap_or(0) + timing.settle_again_us
    } else if complete {
        billing.read_us.unwrap_or(0) + timing.delayed_payment_us
    } else if billing.expire_requested {
        // Stripe may refuse to end it while its customer pays: asked again, but not at once.
        billing
            .read_us
            .map_or(now_us, |read| read + timing.settle_again_us)
    } else {
        let expires_us = billing
            .session_expires_us
            .unwrap_or(billing.request_expires_us);
        // Asked once past its expiry; a session still open then is ended by the same step.
        (expires_us + timing.session_grace_us).max(
            billing
                .read_us
                .map_or(0, |read| read + timing.session_grace_us),
        )
    };
    if ask_us <= now_us {
        return Some(Step::SyncBilling);
    }
    Some(Step::Wait {
        until_us: ask_us,
        reason: WaitingReason::AwaitingPayment,
    })
}

/// Makes the server of a confirmed order.
fn provision_step(facts: &Facts, timing: &Timing, now_us: i64) -> Step {
    let server = &facts.server;
    if let Some(step) = settle_step(facts, timing, now_us) {
        return step;
    }
    if !server.exists() {
        if server.deleted_us.is_some() {
            // Never made again by itself: the customer's data went with it.
            return Step::Park(ErrorReason::ServerMissing);
        }
        let read_us = facts.billing.read_us.unwrap_or(now_us);
        if read_us + timing.billing_fresh_us < now_us {
            // It waited long: the subscription may have ended without our hearing of it.
            return Step::SyncBilling;
        }
        if facts.panel_user.is_none() {
            return Step::EnsureOwner;
        }
        let placed = server.attempt > 0
            && server.has_create_request
            && facts.hold_node.is_some()
            && facts.hold_node == server.node_id
            && facts.ports >= facts.order.spec.ports;
        return if placed {
            Step::CreateServer
        } else {
            Step::Place
        };
    }
    install_step(facts, timing, now_us)
}

fn install_step(facts: &Facts, timing: &Timing, now_us: i64) -> Step {
    let server = &facts.server;
    match server.observed_status.as_deref() {
        Some("install_failed" | "reinstall_failed") if !server.ever_ran() => {
            if server.reinstalls == 0 {
                Step::Reinstall
            } else {
                Step::Park(ErrorReason::InstallFailed)
            }
        }
        None | Some("installing") if !server.ever_ran() => {
            let limit_us = server.install_since_us.unwrap_or(now_us) + timing.install_limit_us;
            if limit_us > now_us {
                // The poll of all servers wakes the order; this is the deadline of the install.
                Step::Wait {
                    until_us: limit_us,
                    reason: WaitingReason::Installing,
                }
            } else {
                // Also after the second chance: nobody may have looked since it ended.
                Step::Reinstall
            }
        }
        _ => Step::Rest(None),
    }
}

/// Settles a create whose answer never came. Two looks of a live order, three
/// late ones of an order that has ended.
fn settle_step(facts: &Facts, timing: &Timing, now_us: i64) -> Option<Step> {
    let server = &facts.server;
    if !server.in_doubt() {
        return None;
    }
    let sent_us = server.create_sent_us?;
    let looks = usize::try_from(server.settle_looks).unwrap_or(usize::MAX);
    let look_us = if facts.billing.over() {
        let [.., last_us] = timing.late_looks_us;
        let look_us = timing.late_looks_us.get(looks).copied().unwrap_or(last_us);
        sent_us + look_us.max(timing.settle_us)
    } else if looks == 0 {
        sent_us + timing.settle_us
    } else {
        let first_look_us = server.looked_us.unwrap_or(sent_us + timing.settle_us);
        first_look_us.max(sent_us + timing.settle_us) + timing.settle_again_us
    };
    if look_us <= now_us {
        return Some(Step::SettleCreate);
    }
    Some(Step::Wait {
        until_us: look_us,
        reason: WaitingReason::OutcomeUnknown,
    })
}

/// How many look-ups that find nothing settle a create.
pub fn looks_to_settle(over: bool) -> i32 {
    if over { 3 } else { 2 }
}

/// Ends what an ended order still holds. A server that its customer used is not
/// touched here: that follows the subscription's later life.
fn wind_down(facts: &Facts, timing: &Timing, now_us: i64) -> Step {
    if let Some(step) = settle_step(facts, timing, now_us) {
        return step;
    }
    if facts.server.exists() {
        return if facts.server.ever_ran() {
            Step::Rest(None)
        } else {
            Step::Delete
        };
    }
    if facts.hold_node.is_some() || facts.ports > 0 {
        return Step::Release;
    }
    Step::Rest(None)
}

#[cfg(test)]
mod tests;

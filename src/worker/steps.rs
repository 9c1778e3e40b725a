//! The steps: each does one thing outside, then records what it learned.

use std::time::Duration;

use super::{claim::Work, driver::Outcome, jittered};
use crate::{
    app::Error,
    db::node_sightings,
    domain::{
        order::{ErrorReason, Facts, WaitingReason},
        step::Step,
    },
    panel::{self, Trouble},
};

mod apply_spec;
mod cancel_subscription;
mod change_plan;
mod create_server;
mod created;
mod delete;
mod disputes;
mod ensure_owner;
mod forced;
mod fresh;
mod guarded;
mod open_session;
mod place;
mod plan_end;
mod refund;
mod reinstall;
mod release;
mod retry_install;
mod settle_create;
mod suspend;
mod sync_billing;
mod unsuspend;

/// So many times as long waits what nobody waits for.
const PATIENCE: u32 = 6;

/// Takes a step.
pub(super) async fn take(work: &Work, facts: &Facts, step: Step) -> Result<Outcome, Error> {
    // On a rebuilt panel every id that we know may mean something else.
    if asks_the_panel(step) && node_sightings::panel_changed(work.app.db.read()).await? {
        return Ok(work.later(WaitingReason::PanelChanged));
    }
    match step {
        Step::OpenSession => open_session::take(work).await,
        Step::SyncBilling => sync_billing::take(work, facts).await,
        Step::EnsureOwner => ensure_owner::take(work, facts).await,
        Step::Place => place::take(work, facts).await,
        Step::CreateServer => create_server::take(work, facts).await,
        Step::SettleCreate => settle_create::take(work, facts).await,
        Step::RetryInstall => retry_install::take(work, facts).await,
        Step::Suspend => suspend::take(work, facts).await,
        Step::Unsuspend => unsuspend::take(work, facts).await,
        Step::CancelSubscription => cancel_subscription::take(work, facts).await,
        Step::PlanEnd => plan_end::take(work, facts).await,
        Step::ChangePlan => change_plan::take(work, facts).await,
        Step::ApplySpec => apply_spec::take(work, facts).await,
        Step::Reinstall => reinstall::take(work, facts).await,
        Step::Delete => delete::take(work, facts).await,
        Step::Release => release::take(work).await,
        Step::Refund => refund::take(work, facts).await,
        Step::Park(_) | Step::Wait { .. } | Step::Rest(_) => Ok(Outcome::Again),
    }
}

fn asks_the_panel(step: Step) -> bool {
    match step {
        Step::EnsureOwner
        | Step::Place
        | Step::CreateServer
        | Step::SettleCreate
        | Step::RetryInstall
        | Step::Suspend
        | Step::Unsuspend
        | Step::ApplySpec
        | Step::Reinstall
        | Step::Delete => true,
        Step::OpenSession
        | Step::SyncBilling
        | Step::CancelSubscription
        | Step::PlanEnd
        | Step::ChangePlan
        | Step::Release
        | Step::Refund
        | Step::Park(_)
        | Step::Wait { .. }
        | Step::Rest(_) => false,
    }
}

impl Work {
    /// Comes back after a while that is not the order's fault.
    fn later(&self, waiting: WaitingReason) -> Outcome {
        Outcome::Later {
            after: jittered(self.settings.retry),
            waiting: Some(waiting),
        }
    }

    /// As [`Work::later`], for what nobody waits for: each look costs calls of others.
    fn patiently(&self, waiting: WaitingReason) -> Outcome {
        Outcome::Later {
            after: jittered(PATIENCE * self.settings.retry),
            waiting: Some(waiting),
        }
    }

    /// Makes an outcome that waits wait patiently.
    fn slowed(&self, outcome: Outcome) -> Outcome {
        match outcome {
            Outcome::Later { after, waiting } => Outcome::Later {
                after: after.max(jittered(PATIENCE * self.settings.retry)),
                waiting,
            },
            other => other,
        }
    }

    /// What a failed call of the panel means for the order, where the step itself
    /// knows nothing better.
    fn panel_failed(&self, error: &panel::Error) -> Outcome {
        tracing::warn!(%error, "panel");
        match error {
            panel::Error::RateLimited { after } => Outcome::Later {
                after: (*after).max(Duration::from_millis(50)),
                waiting: Some(WaitingReason::RateLimited),
            },
            panel::Error::NotDone { trouble } | panel::Error::Unknown { trouble } => {
                self.later(waiting_for(*trouble))
            }
            panel::Error::Rejected { .. }
            | panel::Error::NotFound
            | panel::Error::Garbage { .. } => Outcome::Tried {
                reason: ErrorReason::PanelRejected,
                message: error.to_string(),
            },
        }
    }
}

/// What an order shows while the panel is in trouble.
fn waiting_for(trouble: Trouble) -> WaitingReason {
    match trouble {
        Trouble::KeyRefused => WaitingReason::PanelRefusedKey,
        Trouble::Unreachable
        | Trouble::NoAnswer
        | Trouble::Node
        | Trouble::Redirected
        | Trouble::Failing
        | Trouble::NotThePanel => WaitingReason::PanelUnavailable,
    }
}

//! OpenSession: the call that made the order did not get to it, or got no answer.

use crate::{
    app::{Error, checkout::session},
    domain::{order::WaitingReason, step::Step},
    worker::{claim::Work, driver::Outcome},
};

pub(super) async fn take(work: &Work) -> Result<Outcome, Error> {
    let note = work.note(Step::OpenSession.name());
    match session::open(&work.app, work.id(), &note).await? {
        session::Outcome::Open(_) | session::Outcome::NeverOpened(_) => Ok(Outcome::Again),
        session::Outcome::Later { error } => {
            tracing::warn!(error, "session is not open yet");
            Ok(work.later(WaitingReason::StripeUnavailable))
        }
    }
}

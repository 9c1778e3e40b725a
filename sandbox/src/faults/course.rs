//! The course of a call that was struck: the work, the fault and the answer in their order.
//!
//! The work runs in a task of its own, so that a caller who gives up does not undo what was begun.

use std::future::Future;

use axum::response::Response;

use super::armed::Strike;
use super::spoil::{dripping, instead, truncated};
use super::{FaultAction, FaultId, Moment};
use crate::serving::{Drip, Reply, dropped};

/// What a stand-in adds to the course of a struck call.
pub(crate) trait StandIn: Clone + Send + Sync + 'static {
    /// A refusal in the service's own words.
    fn own_words(&self, action: &FaultAction) -> Reply;

    /// Waits until late work may begin.
    fn landing(&self, strike: &Strike) -> impl Future<Output = ()> + Send;

    /// Late work is done.
    fn landed(&self, id: FaultId);
}

/// Lets a call take its course. The work answers nothing if it was killed; it is told of the strike
/// by its maker and deals with the moments inside of it.
pub(crate) async fn carry_out<S, W, F>(stand_in: S, strike: Strike, work: W) -> Response
where
    S: StandIn,
    W: FnOnce() -> F,
    F: Future<Output = Option<Reply>> + Send + 'static,
{
    let action = &strike.action;
    let own = |action: &FaultAction| stand_in.own_words(action);
    match strike.when {
        Moment::BeforeWork if !action.bends_answer() => match action {
            FaultAction::Delay { milliseconds } => {
                strike.rest(*milliseconds).await;
                done(run(work()).await)
            }
            FaultAction::Hang { milliseconds } => {
                strike.rest(*milliseconds).await;
                dropped()
            }
            action => done(instead(action, own)),
        },
        Moment::Late { .. } => {
            let (waiting, held) = (stand_in.clone(), strike.clone());
            let work = work();
            let late = tokio::spawn(async move {
                waiting.landing(&held).await;
                let reply = work.await;
                waiting.landed(held.id);
                reply
            });
            if action.bends_answer() || matches!(action, FaultAction::Delay { .. }) {
                let reply = late.await.ok().flatten();
                return finish(&strike, reply, own).await;
            }
            finish(&strike, None, own).await
        }
        // The work itself has met the fault; what is left is to bend its answer.
        Moment::BeforeCommit | Moment::AfterCommit if !action.bends_answer() => {
            done(run(work()).await)
        }
        Moment::BeforeWork | Moment::BeforeCommit | Moment::AfterCommit | Moment::AfterWork => {
            let reply = run(work()).await;
            finish(&strike, reply, own).await
        }
    }
}

/// Runs work to its end, whatever becomes of the caller.
pub(crate) async fn run(
    work: impl Future<Output = Option<Reply>> + Send + 'static,
) -> Option<Reply> {
    tokio::spawn(work).await.ok().flatten()
}

fn done(reply: Option<Reply>) -> Response {
    reply.map_or_else(dropped, Reply::into_response)
}

/// What the caller gets once the work is done, or while it is not.
async fn finish(
    strike: &Strike,
    real: Option<Reply>,
    own: impl FnOnce(&FaultAction) -> Reply,
) -> Response {
    match (&strike.action, real) {
        (FaultAction::Hang { milliseconds }, _) => {
            strike.rest(*milliseconds).await;
            dropped()
        }
        (FaultAction::Delay { milliseconds }, real) => {
            strike.rest(*milliseconds).await;
            done(real)
        }
        (FaultAction::Truncate, Some(real)) => truncated(real),
        (
            FaultAction::Drip {
                from,
                bytes,
                milliseconds,
            },
            Some(real),
        ) => {
            let drip = Drip::new(*from, *bytes, *milliseconds, strike.clone());
            dripping(real, drip)
        }
        // Its maker has bent the rows.
        (action, real) if action.bends_list() => done(real),
        (action, _) => done(instead(action, own)),
    }
}

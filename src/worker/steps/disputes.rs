//! What banks dispute of the order's payments, as Stripe says it now.

use super::sync_billing;
use crate::{
    app::Error,
    db::{
        Tx, affiliates, billing,
        disputes::{self, DisputeRead, News, Reads},
        order_events,
        orders::Note,
    },
    domain::{
        OrderId,
        dispute::{Claim, DisputePolicy},
        order::{EndWish, Facts, WaitingReason},
    },
    stripe,
    worker::{claim::Work, driver::Outcome},
};

/// Reads those that may have changed. Most orders have none, and ask nobody.
pub(super) async fn read(
    work: &Work,
    facts: &Facts,
) -> Result<Result<Reads, stripe::Error>, Error> {
    let mut reads = Reads::default();
    if facts.billing.disputes_open == 0 {
        return Ok(Ok(reads));
    }
    for dispute_id in disputes::unsettled(work.app.db.read(), work.id()).await? {
        match work.app.stripe.dispute(&dispute_id).await {
            Ok(dispute) => reads.read.push(DisputeRead {
                dispute_id,
                status: dispute.status,
                amount_minor: dispute.amount.max(0),
                currency: dispute.currency,
            }),
            // Nothing else could be read either.
            Err(error @ (stripe::Error::RateLimited { .. } | stripe::Error::Unreachable(_))) => {
                return Ok(Err(error));
            }
            // Of another account, a key without this right, or a bug of Stripe's: it is asked
            // again, and what else is known of the order must not wait for that.
            Err(error) => {
                tracing::warn!(dispute_id, %error, "a dispute could not be read");
                reads.unread.push(dispute_id);
            }
        }
    }
    Ok(Ok(reads))
}

/// Whether a bank still has the money, asked at the last moment. `Err` holds what the order is to
/// do instead.
pub(super) async fn still_open(work: &Work, facts: &Facts) -> Result<Result<(), Outcome>, Error> {
    let reads = match read(work, facts).await? {
        Ok(reads) => reads,
        Err(error) => return Ok(Err(sync_billing::failed(work, &error))),
    };
    let mut claims = reads.read.iter().map(|read| Claim::of(&read.status));
    if reads.unread.is_empty() {
        // What is final was read as such; where nothing was left to ask, one was lost.
        if reads.read.is_empty() || claims.any(|claim| !claim.is_final()) {
            return Ok(Ok(()));
        }
    } else if facts.server.suspend_sent_us.is_some() {
        // Whether the panel did it is not known: it can neither be left so nor told again.
        return Ok(Err(work.later(WaitingReason::StripeUnavailable)));
    }
    // What it says now is stored, and planned on: nothing stops for what could not be read.
    Ok(Err(sync_billing::take(work, facts).await?))
}

/// Stores what was read, and says what is new. The money of one that was lost is gone: its
/// subscription ends, so that a server that stands still is not charged for again.
pub(super) async fn store(
    tx: &Tx,
    (id, over): (OrderId, bool),
    reads: &Reads,
    policy: DisputePolicy,
    note: &Note,
    now_us: i64,
) -> Result<(), Error> {
    if *reads == Reads::default() {
        return Ok(());
    }
    for news in disputes::set_read(tx, id, reads, policy, now_us).await? {
        let News {
            dispute_id,
            invoice_id,
            claim,
        } = news;
        let what = match claim {
            Claim::Open => "a bank disputes a payment",
            Claim::Asked => "a bank asks about a payment",
            Claim::Won => "a dispute ended for the shop",
            Claim::Lost => "a dispute was lost",
            Claim::Unclear => "a dispute has a state that is not known here",
        };
        metrics::counter!("spawnpoint_disputes_total", "claim" => claim.name()).increment(1);
        order_events::remark(tx, id, &format!("{what} ({dispute_id})"), note, now_us).await?;
        if matches!(claim, Claim::Open | Claim::Lost) {
            // Whoever sent the customer earns nothing by it, unless it is won.
            affiliates::reverse(tx, id, Some(&invoice_id)).await?;
        }
        if claim == Claim::Lost && policy == DisputePolicy::Suspend && !over {
            billing::set_wish(tx, id, EndWish::Now, now_us).await?;
        }
    }
    Ok(())
}

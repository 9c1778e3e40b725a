//! Finds sessions that were paid although no webhook said so. With no webhook
//! delivered at all, orders reach the same end through here.

use std::sync::Arc;

use super::{
    Found, PENDING_SESSIONS, cut_short,
    hint::{Find, tell},
    one_of_many,
};
use crate::{
    app::{App, Error},
    db::orders,
    domain::{OrderId, SECOND_US, ids::parse_uuid, order::Status},
    stripe::SessionFilter,
};

/// Pages of 100 sessions in one run.
const PAGES: usize = 20;
/// Our clock and Stripe's may differ by this much.
const SKEW_US: i64 = 300 * SECOND_US;

pub(super) async fn run(app: &Arc<App>, cursor: &str) -> Result<Found, Error> {
    let Some(oldest_us) = orders::oldest_pending_us(app.db.read()).await? else {
        return Ok(Found::default());
    };
    let filter = SessionFilter {
        status: Some("complete".to_owned()),
        created_gte: Some((oldest_us - SKEW_US) / SECOND_US),
        ..SessionFilter::default()
    };
    let mut finds = 0;
    let mut after = (!cursor.is_empty()).then(|| cursor.to_owned());
    let (mut goes_on, mut more) = (false, true);
    for _ in 0..PAGES {
        let page = match app.stripe.sessions(&filter, after.as_deref()).await {
            Ok(page) => page,
            Err(error) => {
                cut_short(PENDING_SESSIONS, &error, "Stripe's sessions");
                more = false;
                break;
            }
        };
        for session in &page.data {
            let reference = session.client_reference_id.as_deref().and_then(parse_uuid);
            if let Some(id) = reference.map(OrderId)
                && session.livemode == app.stripe.livemode()
            {
                let told = hint(app, id, &session.id).await;
                finds += i32::from(one_of_many(PENDING_SESSIONS, &id, told)?);
            }
        }
        after = page.data.last().map(|session| session.id.clone());
        goes_on = page.has_more && after.is_some();
        if !goes_on {
            break;
        }
    }
    // Where there are more pages than one run reads, the next run goes on behind them.
    let cursor = after.filter(|_| goes_on).unwrap_or_default();
    Ok(Found {
        finds,
        cursor,
        more: more && goes_on,
        ..Found::default()
    })
}

/// Marks an order due that still waits for a payment that Stripe has.
async fn hint(app: &Arc<App>, id: OrderId, session_id: &str) -> Result<bool, Error> {
    let waits = orders::find(app.db.read(), id).await?.is_some_and(|facts| {
        facts.order.status == Status::Pending
            && facts.order.error_reason.is_none()
            && facts.billing.hints == facts.billing.hints_read
            && facts.billing.session_status.as_deref() != Some("complete")
            // Another session of the order is not its own's news.
            && facts.billing.session_id.as_deref().is_none_or(|own| own == session_id)
    });
    if !waits {
        return Ok(false);
    }
    let find = Find {
        actor: "sweep:pending_sessions",
        cause: session_id,
        text: "Stripe's list shows it paid; no event told of it yet",
        paid_session: Some(session_id),
    };
    tell(app, id, &find).await?;
    Ok(true)
}

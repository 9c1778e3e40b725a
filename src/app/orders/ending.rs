//! How an order ends by its customer's will: now, or with the period that is paid for; and how
//! that is taken back. Only the wish is stored here: the worker brings it to Stripe.

use std::sync::Arc;

use uuid::Uuid;

use super::change::{Change, live, refuse};
use crate::{
    app::{App, Caller, Error},
    db::billing,
    domain::{
        OrderId,
        order::{EndWish, Facts},
    },
};

/// Ends an order: one that is not paid by ending its session; a paid one by ending its
/// subscription, now or with its period.
pub async fn cancel_order(
    app: &Arc<App>,
    caller: &Caller,
    id: OrderId,
    at_period_end: bool,
    request_id: Option<Uuid>,
) -> Result<Facts, Error> {
    let asked = [u8::from(at_period_end)];
    let change = Change::new(caller, "OrderService/CancelOrder", id, request_id, &asked);
    change
        .make(app, |tx, facts, _, now_us| async move {
            live(&facts)?;
            if !facts.billing.confirmed() {
                billing::request_expiry(&tx, id).await?;
            }
            // Its customer may be paying this very moment: then the subscription ends, and who
            // asked for a period that is paid for has it.
            let wish = match facts.billing.wish {
                Some(EndWish::Now) => EndWish::Now,
                _ if at_period_end => EndWish::WithItsPeriod,
                _ => EndWish::Now,
            };
            Ok(billing::set_wish(&tx, id, wish, now_us).await?)
        })
        .await
}

/// Takes a planned end back, while the subscription lives.
pub async fn resume_order(
    app: &Arc<App>,
    caller: &Caller,
    id: OrderId,
    request_id: Option<Uuid>,
) -> Result<Facts, Error> {
    let change = Change::new(caller, "OrderService/ResumeOrder", id, request_id, &[]);
    change
        .make(app, |tx, facts, _, now_us| async move {
            live(&facts)?;
            let planned = match facts.billing.wish {
                // Its session is being ended.
                _ if !facts.billing.confirmed() => false,
                Some(EndWish::WithItsPeriod) => true,
                // Under way to Stripe, and not to be taken back.
                Some(EndWish::Now) => false,
                Some(EndWish::Never) | None => facts.billing.cancel_at_us.is_some(),
            };
            if !planned {
                return Err(refuse(&facts, "NOT_CANCELING", "no end is planned"));
            }
            Ok(billing::set_wish(&tx, id, EndWish::Never, now_us).await?)
        })
        .await
}

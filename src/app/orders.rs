//! Orders: read, watched, and woken.

use std::sync::Arc;

use uuid::Uuid;

use super::{App, Caller, Error, Scope};
use crate::{
    db::{
        billing, order_events,
        orders::{self, Filter, Progress},
        refunds,
        servers::installs,
    },
    domain::{
        self, Listed, OrderId,
        error::Kind,
        order::{ErrorReason, Facts, visible::Event},
    },
};

mod change;
mod ending;
mod feed;
mod manual;
mod plan_change;
mod portal;
mod rename;

pub(super) use change::{Change, live, refuse};
pub use ending::{cancel_order, resume_order};
pub use feed::{feed, watch_order_events};
pub use manual::complete_manual_addon;
pub use plan_change::{Wanted, change_plan};
pub use portal::create_billing_portal_session;
pub use rename::rename_server;

/// An order that the caller may see.
pub async fn get_order(app: &App, caller: &Caller, id: OrderId) -> Result<Facts, Error> {
    let scope = caller.may("OrderService/GetOrder")?;
    visible(app, scope, id).await
}

/// An order in the caller's scope; all others are answered as if absent.
pub(super) async fn visible(app: &App, scope: Scope, id: OrderId) -> Result<Facts, Error> {
    let found = orders::find(app.db.read(), id).await?;
    let found = found.filter(|facts| scope.covers(facts.order.user_id));
    found.ok_or_else(|| domain::Error::not_found(Kind::Order, id).into())
}

/// Orders, newest first. A storefront or customer sees its user's, whatever it filters by.
pub async fn list_orders(
    app: &App,
    caller: &Caller,
    mut filter: Filter,
    after: Option<OrderId>,
    limit: u64,
) -> Result<Listed<Facts>, Error> {
    if let Scope::User(user) = caller.may("OrderService/ListOrders")? {
        if filter.user_id.is_some_and(|wanted| wanted != user) {
            return Ok(Listed {
                rows: Vec::new(),
                more: false,
            });
        }
        filter.user_id = Some(user);
    }
    let rows = orders::list(app.db.read(), &filter, after, limit + 1).await?;
    Ok(Listed::cut(rows, limit))
}

/// Changes of one order, oldest first.
pub async fn list_order_events(
    app: &App,
    caller: &Caller,
    id: OrderId,
    after: Option<i64>,
    limit: u64,
) -> Result<Listed<Event>, Error> {
    let scope = caller.may("OrderService/ListOrderEvents")?;
    visible(app, scope, id).await?;
    let rows = order_events::list(app.db.read(), id, after, limit + 1).await?;
    Ok(Listed::cut(rows, limit))
}

/// Checks that the caller may watch the order, and reads it for the first message.
pub async fn watch_order(app: &App, caller: &Caller, id: OrderId) -> Result<Facts, Error> {
    let scope = caller.may("OrderService/WatchOrder")?;
    visible(app, scope, id).await
}

/// Reads a watched order again.
pub async fn reread(app: &App, id: OrderId) -> Result<Facts, Error> {
    visible(app, Scope::All, id).await
}

/// Wakes an order now, and lets a parked one try again.
pub async fn provision_order(
    app: &Arc<App>,
    caller: &Caller,
    id: OrderId,
    request_id: Option<Uuid>,
) -> Result<Facts, Error> {
    let change = Change::new(
        caller,
        "ProvisioningService/ProvisionOrder",
        id,
        request_id,
        &[],
    );
    change
        .make(app, |tx, facts, note, now_us| async move {
            may_be_woken(&facts)?;
            if facts.order.error_reason.is_some() {
                orders::set_progress(&tx, id, &Progress::default()).await?;
                installs::reset_reinstalls(&tx, id).await?;
                if facts.server.reinstall_sent_us.is_none() {
                    // What was wanted before it parked may cost what its customer did since.
                    installs::clear_reinstall(&tx, id).await?;
                }
                if facts.order.error_reason == Some(ErrorReason::InstallFailed)
                    && facts.server.exists()
                    && facts.server.ever_ran()
                {
                    installs::look_again(&tx, id, now_us).await?;
                }
            }
            refunds::try_now(&tx, id).await?;
            // Whatever parked it is read afresh: Stripe first.
            billing::add_hint(&tx, id, None).await?;
            let text = "an operator had it looked at again";
            Ok(order_events::remark(&tx, id, text, &note, now_us).await?)
        })
        .await
}

fn may_be_woken(facts: &Facts) -> Result<(), Error> {
    if facts.billing.over() && (facts.server.exists() || facts.billing.refunds_due > 0) {
        // It is about to be stopped, deleted or refunded, and something is in the way.
        return Ok(());
    }
    live(facts)?;
    // A paid order that does not match is parked unconfirmed: it may be tried again.
    if !facts.billing.confirmed() && facts.order.error_reason.is_none() {
        return Err(refuse(facts, "ORDER_NOT_PAID", "the order is not paid"));
    }
    Ok(())
}

//! What operators do with a server: have it stand still, go on, or go for good. Only what they
//! want is stored here: the worker brings it to Stripe and the panel.

use std::sync::Arc;

use uuid::Uuid;

use crate::{
    app::{
        App, Caller, Error,
        orders::{Change, live},
    },
    db::{
        Tx, billing, order_events,
        orders::Note,
        servers::{self, suspension},
    },
    domain::{
        OrderId,
        order::{EndWish, Facts, ServerState},
    },
};

/// Suspends the server until an operator lets it go on, whatever is paid.
pub async fn suspend_server(
    app: &Arc<App>,
    caller: &Caller,
    id: OrderId,
    remark: &str,
    request_id: Option<Uuid>,
) -> Result<Facts, Error> {
    let method = "ProvisioningService/SuspendServer";
    let change = Change::new(caller, method, id, request_id, remark.as_bytes());
    set_suspended(app, change, id, remark, true).await
}

/// Ends an operator's suspension. What billing suspends stays suspended. Where nothing here keeps
/// the server stopped and it was seen to stand still, it goes on although somebody suspended it on
/// the panel, or our store was set back to a time before its suspension.
pub async fn unsuspend_server(
    app: &Arc<App>,
    caller: &Caller,
    id: OrderId,
    remark: &str,
    request_id: Option<Uuid>,
) -> Result<Facts, Error> {
    let method = "ProvisioningService/UnsuspendServer";
    let change = Change::new(caller, method, id, request_id, remark.as_bytes());
    set_suspended(app, change, id, remark, false).await
}

/// Ends the subscription and deletes the server now, with all that is on it; also one that is
/// over and only kept. A session that can still be paid is ended.
pub async fn terminate_server(
    app: &Arc<App>,
    caller: &Caller,
    id: OrderId,
    remark: &str,
    request_id: Option<Uuid>,
) -> Result<Facts, Error> {
    let method = "ProvisioningService/TerminateServer";
    let change = Change::new(caller, method, id, request_id, remark.as_bytes());
    change
        .make(app, |tx, facts, note, now_us| async move {
            if !facts.server.exists() {
                live(&facts)?;
            }
            if !facts.billing.confirmed() {
                billing::request_expiry(&tx, id).await?;
                // Should its customer pay this very moment, the payment goes back.
                billing::set_wish(&tx, id, EndWish::Now, now_us).await?;
            }
            servers::set_terminated(&tx, id, now_us).await?;
            say(&tx, id, "ended by an operator", remark, &note, now_us).await
        })
        .await
}

async fn set_suspended(
    app: &Arc<App>,
    change: Change<'_>,
    id: OrderId,
    remark: &str,
    suspended: bool,
) -> Result<Facts, Error> {
    let text = if suspended {
        "suspended by an operator"
    } else {
        "no longer suspended by an operator"
    };
    change
        .make(app, |tx, facts, note, now_us| async move {
            live(&facts)?;
            if !suspended && is_others(&facts) {
                suspension::adopt(&tx, id, now_us).await?;
                let text = "whoever suspended it, an operator lets it go on";
                return say(&tx, id, text, remark, &note, now_us).await;
            }
            if facts.server.operator_suspended_us.is_some() == suspended {
                // So it is already; but somebody may say more about it.
                if !suspended || remark.is_empty() {
                    return Ok(());
                }
                return say(&tx, id, text, remark, &note, now_us).await;
            }
            suspension::set_operator(&tx, id, suspended, now_us).await?;
            say(&tx, id, text, remark, &note, now_us).await
        })
        .await
}

/// Whether it stands still, as far as was seen, although nothing here keeps it stopped, nor was it
/// told to: somebody else saw to that.
fn is_others(facts: &Facts) -> bool {
    let server = &facts.server;
    server.delivered()
        && facts.server_state() == ServerState::Suspended
        && !facts.suspension_reasons().any()
        && server.suspended_us.or(server.suspend_sent_us).is_none()
}

async fn say(
    tx: &Tx,
    id: OrderId,
    what: &str,
    remark: &str,
    note: &Note,
    now_us: i64,
) -> Result<(), Error> {
    let text = match remark {
        "" => what.to_owned(),
        remark => format!("{what}: {remark}"),
    };
    Ok(order_events::remark(tx, id, &text, note, now_us).await?)
}

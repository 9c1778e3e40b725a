//! DeleteProfile: what says who a user is goes; what the shop has to account for stays.

use std::sync::Arc;

use uuid::Uuid;

use super::absent;
use crate::{
    app::{
        App, Caller, Error,
        catalog::{earlier, remember, repeatable},
    },
    db::{
        Tx, erasure,
        orders::{self, Locked, Note},
        profiles,
    },
    domain::{self, OrderId, UserId, order::Facts, profile::Profile},
};

const METHOD: &str = "OrderService/DeleteProfile";
/// Events looked through at a time.
const EVENTS: u64 = 1_000;

/// Erases a user whose orders are all over. Stripe keeps its customer with the invoices; a panel
/// account that we made is deleted by the worker.
pub async fn delete_profile(
    app: &Arc<App>,
    caller: &Caller,
    user_id: UserId,
    request_id: Option<Uuid>,
) -> Result<Profile, Error> {
    let scope = caller.may(METHOD)?;
    let request = repeatable(caller, METHOD, request_id, &user_id.to_string())?;
    let (request, note) = (
        request.as_ref(),
        &Note {
            actor: caller.actor(),
            cause: METHOD.to_owned(),
            trace_id: caller.trace_id.clone(),
        },
    );
    let known = profiles::find(app.db.read(), user_id).await?;
    let known = known.filter(|known| scope.covers(known.user_id));
    let known = known.ok_or_else(|| absent(user_id))?;
    // Looked for before anything is locked: there may be many.
    let events = &naming(app, &known).await?;
    let (erased, orders) = app
        .db
        .tx(|tx| async move {
            let now_us = app.db.now_in(&tx).await?;
            let locked = profiles::lock(&tx, user_id).await?;
            let known = locked.ok_or_else(|| absent(user_id))?;
            let repeated = earlier(request, &tx, now_us).await?.is_some();
            if repeated || known.deleted_us.is_some() {
                if !repeated {
                    remember(request, &tx, &user_id.to_string(), now_us).await?;
                }
                return Ok((known, Vec::new()));
            }
            let settled = settled_orders(&tx, user_id).await?;
            let ids = settled.iter().map(|locked| locked.facts.order.id).collect();
            for locked in settled {
                erase(&tx, locked, note, now_us).await?;
            }
            erasure::payloads(&tx, events).await?;
            erasure::profile(&tx, user_id, now_us).await?;
            remember(request, &tx, &user_id.to_string(), now_us).await?;
            let erased = profiles::find(&*tx, user_id).await?;
            let erased = erased.ok_or_else(|| absent(user_id))?;
            Ok::<_, Error>((erased, ids))
        })
        .await?;
    let orders: Vec<OrderId> = orders;
    for id in orders {
        app.nudge.order(id);
    }
    Ok(erased)
}

/// Locks the user's orders; refuses where one is not over and done with.
async fn settled_orders(tx: &Tx, user_id: UserId) -> Result<Vec<Locked>, Error> {
    let mut settled = Vec::new();
    for id in orders::ids_of_user(tx, user_id).await? {
        let Some(locked) = orders::lock(tx, id).await? else {
            continue;
        };
        if !locked.facts.settled() {
            return Err(active(&locked.facts));
        }
        settled.push(locked);
    }
    Ok(settled)
}

fn active(facts: &Facts) -> Error {
    let metadata = vec![("order_id", facts.order.id.to_string())];
    let message = "the user has an order that is not over, or that still has a server, room or a \
                   payment to go back";
    domain::Error::precondition("ORDER_ACTIVE", message, metadata).into()
}

async fn erase(tx: &Tx, locked: Locked, note: &Note, now_us: i64) -> Result<(), Error> {
    let id = locked.facts.order.id;
    erasure::order(tx, id, &locked.facts.order.server_name).await?;
    orders::seal(tx, locked, note, now_us).await?;
    Ok(erasure::record(tx, id).await?)
}

/// Ids of events that are about no order, and name the user.
async fn naming(app: &App, known: &Profile) -> Result<Vec<String>, Error> {
    if known.deleted_us.is_some() {
        return Ok(Vec::new());
    }
    let mut texts = vec![known.user_id.to_string(), known.email.clone()];
    texts.extend(known.stripe_customer_id.clone());
    texts.retain(|text| !text.is_empty());
    // Whole values only: an address may be the end of another one's.
    let texts: Vec<String> = texts.iter().map(|text| format!("\"{text}\"")).collect();
    let (mut found, mut after) = (Vec::new(), (i64::MIN, String::new()));
    loop {
        let page = erasure::unplaced_events(app.db.read(), &texts, &after, EVENTS).await?;
        let Some(last) = page.last() else {
            return Ok(found);
        };
        after = (last.received_us, last.id.clone());
        let names = page.into_iter().filter(|event| event.names);
        found.extend(names.map(|event| event.id));
    }
}

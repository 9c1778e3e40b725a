//! Checkout: every check before any money, room and ports held, then a session
//! at Stripe.
//!
//! Nothing is sent to Stripe inside the transaction: the exact request is
//! committed first, so that whoever sends it, and however often, asks for the
//! same session.

use std::{collections::BTreeMap, sync::Arc, time::Duration};

use sha2::{Digest, Sha256};
use tokio::time::{Instant, timeout_at};
use uuid::Uuid;

use super::{App, Caller, Error, Scope, requests::Request};
use crate::{
    db::{
        Tx, billing, holds, nodes,
        orders::{self, Note, leases},
        profiles::{self, Told},
        servers,
    },
    domain::{
        self, MINUTE_US, OrderId, SECOND_US,
        catalog::{ItemType, Term},
        order::Facts,
        placement,
    },
};

pub(super) mod cart;
mod customer;
pub mod form;
pub mod openings;
pub mod prices;
pub mod session;

pub use cart::Cart;

const METHOD: &str = "OrderService/CreateCheckoutSession";
/// Stripe forgets idempotency keys after 24 h; before that we stop relying on them.
const KEY_LIFE_US: i64 = 23 * 60 * MINUTE_US;
/// The worker opens the session if the call that made the order has not by then.
const RPC_GOES_FIRST_US: i64 = 15 * SECOND_US;
/// An open session with less than this left is not handed out again.
const STILL_USEFUL_US: i64 = 2 * MINUTE_US;
/// Open sessions of one user; one more expires the oldest.
const OPEN_SESSIONS: usize = 3;
/// Orders of one user that hold room while they wait for payment, those among them whose
/// session is being ended. Stripe may be away, and nothing is given back without its word:
/// one customer must not fill a region meanwhile.
const WAITING_ORDERS: usize = 4 * OPEN_SESSIONS;
/// Stripe is asked for the end of a session within seconds.
const ENDED_SOON: Duration = Duration::from_secs(30);

/// A purchase as it was asked for, every field already well-formed.
#[derive(Clone)]
pub struct Command {
    /// Identity of this purchase.
    pub request_id: Uuid,
    /// Who buys.
    pub told: Told,
    /// What is bought.
    pub plan_id: String,
    /// Must be the plan's.
    pub item_type: ItemType,
    /// How often it is billed.
    pub term: Term,
    /// Where it runs.
    pub region: String,
    /// Its name.
    pub server_name: String,
    /// What is added.
    pub addon_ids: Vec<String>,
    /// The customer's choice of egg variables.
    pub environment: BTreeMap<String, String>,
    /// Who sent the customer; may be empty.
    pub referral_code: String,
    /// Where Stripe sends the customer after paying.
    pub success_url: String,
    /// Where Stripe sends the customer who turns back.
    pub cancel_url: String,
}

/// An order and where to pay it.
#[derive(Debug)]
pub struct Opened {
    /// The order as it is now.
    pub facts: Facts,
}

impl Command {
    /// What makes two carts the same: everything but the request id and the user's names.
    fn cart_sha256(&self) -> String {
        let mut addons = self.addon_ids.clone();
        addons.sort_unstable();
        let cart = serde_json::json!([
            self.plan_id,
            self.term.as_str(),
            self.region,
            addons,
            self.server_name,
            self.environment,
            self.referral_code,
            self.success_url,
            self.cancel_url,
        ]);
        hex::encode(Sha256::digest(cart.to_string()))
    }

    fn body(&self) -> Vec<u8> {
        let told = &self.told;
        let body = serde_json::json!([
            self.cart_sha256(),
            self.item_type.as_str(),
            self.addon_ids,
            told.user_id.to_string(),
            told.email,
            told.email_verified,
            told.first_name,
            told.last_name,
        ]);
        body.to_string().into_bytes()
    }
}

/// Makes an order with its session, or returns the one that an earlier call made. What
/// Stripe does not answer by `answer_by` is told as unavailable: the opening goes on, and
/// the same call finds it.
pub async fn create_checkout_session(
    app: &Arc<App>,
    caller: &Caller,
    command: &Command,
    answer_by: Instant,
) -> Result<Opened, Error> {
    if let Scope::User(user) = caller.may(METHOD)?
        && user != command.told.user_id
    {
        let mut violations = domain::error::Violations::default();
        violations.add("user_id", "must be the user this call is made for");
        violations.finish()?;
    }
    let request = Request::new(caller, METHOD, command.request_id, &command.body());
    let note = Note {
        actor: caller.actor(),
        cause: METHOD.to_owned(),
        trace_id: caller.trace_id.clone(),
    };

    // A repeat is answered before anything is checked again: the shop may have changed since.
    let known = known_order(app, &request).await?;
    let id = match known {
        Some(id) => id,
        None => {
            let cart = cart::check(app, command).await?;
            timeout_at(answer_by, prices::check(app, &cart))
                .await
                .map_err(|_| prices::unavailable())??;
            make(app, command, &cart, &request, &note).await?
        }
    };
    let facts = open(app, id, &note, answer_by).await?;
    Ok(Opened { facts })
}

async fn known_order(app: &App, request: &Request) -> Result<Option<OrderId>, Error> {
    let now_us = app.db.now().await?;
    let earlier = request.earlier(app.db.read(), now_us).await?;
    Ok(earlier
        .and_then(|id| Uuid::try_parse(&id).ok())
        .map(OrderId))
}

/// Commits the order with all it holds, or finds the one to hand out again.
async fn make(
    app: &Arc<App>,
    command: &Command,
    cart: &Cart,
    request: &Request,
    note: &Note,
) -> Result<OrderId, Error> {
    let attempt = || {
        app.db.tx(|tx| async move {
            let now_us = app.db.now_in(&tx).await?;
            let customer = form::customer(&command.told);
            profiles::upsert_locked(&tx, App::new_id(now_us), &command.told, &customer, now_us)
                .await?;
            // Under the profile's lock, so that two repeats at once make one order.
            if let Some(id) = request.earlier(&*tx, now_us).await? {
                return Ok(Uuid::try_parse(&id)
                    .ok()
                    .map(OrderId)
                    .map(|id| (id, Vec::new())));
            }
            let (pending, waiting) = pending(&tx, command).await?;
            if let Some(id) = same_cart(&pending, command, now_us) {
                request.remember(&tx, &id.to_string(), now_us).await?;
                return Ok(Some((id, Vec::new())));
            }
            if waiting >= WAITING_ORDERS {
                return Err(domain::Error::RateLimited { after: ENDED_SOON }.into());
            }
            let expired = expire_oldest(&tx, pending, note, now_us).await?;
            let id = insert(app, &tx, command, cart, note, now_us).await?;
            request.remember(&tx, &id.to_string(), now_us).await?;
            Ok::<_, Error>(Some((id, expired)))
        })
    };
    let made = match attempt().await {
        // The other of two calls with one id has won: its order is the answer.
        Err(Error::Store(error)) if error.conflicts_on("request_keys") => attempt().await?,
        other => other?,
    };
    let (id, expired) =
        made.ok_or_else(|| Error::Internal("a request key names no order".to_owned()))?;
    for id in expired {
        app.nudge.order(id);
    }
    Ok(id)
}

/// The user's orders that wait for payment and are not being ended, oldest first; and how
/// many there are with those.
async fn pending(tx: &Tx, command: &Command) -> Result<(Vec<(Facts, String)>, usize), Error> {
    let (mut pending, mut waiting) = (Vec::new(), 0);
    for (id, cart_sha256) in orders::pending_of(tx, command.told.user_id).await? {
        let Some(facts) = orders::find(&**tx, id).await? else {
            continue;
        };
        if facts.billing.over() {
            continue;
        }
        waiting += 1;
        let complete = facts.billing.session_status.as_deref() == Some("complete");
        if !complete && !facts.billing.expire_requested {
            pending.push((facts, cart_sha256));
        }
    }
    Ok((pending, waiting))
}

fn same_cart(pending: &[(Facts, String)], command: &Command, now_us: i64) -> Option<OrderId> {
    let cart_sha256 = command.cart_sha256();
    let useful = |facts: &Facts| {
        let billing = &facts.billing;
        let expires_us = billing
            .session_expires_us
            .unwrap_or(billing.request_expires_us);
        expires_us - now_us > STILL_USEFUL_US
    };
    pending
        .iter()
        .find(|(facts, cart)| *cart == cart_sha256 && useful(facts))
        .map(|(facts, _)| facts.order.id)
}

/// Asks for the end of the oldest sessions beyond what one user may have open.
async fn expire_oldest(
    tx: &Tx,
    pending: Vec<(Facts, String)>,
    note: &Note,
    now_us: i64,
) -> Result<Vec<OrderId>, Error> {
    let surplus = (pending.len() + 1).saturating_sub(OPEN_SESSIONS);
    let mut expired = Vec::new();
    for (facts, _) in pending.into_iter().take(surplus) {
        let id = facts.order.id;
        if let Some(locked) = orders::lock(tx, id).await? {
            billing::request_expiry(tx, id).await?;
            leases::add_fact(tx, id, now_us).await?;
            orders::seal(tx, locked, note, now_us).await?;
            expired.push(id);
        }
    }
    Ok(expired)
}

async fn insert(
    app: &App,
    tx: &Tx,
    command: &Command,
    cart: &Cart,
    note: &Note,
    now_us: i64,
) -> Result<OrderId, Error> {
    let id = OrderId(App::new_id(now_us));
    // Stripe takes whole seconds.
    let expires_us = (now_us + app.settings.hold_minutes * MINUTE_US) / SECOND_US * SECOND_US;
    let request = form::session(id, command, cart, &app.settings, expires_us / SECOND_US);
    let shop = app.settings.lenience();
    let order = cart::order(id, command, cart, shop, now_us + RPC_GOES_FIRST_US);
    orders::insert(tx, &order, note, now_us).await?;
    billing::insert(tx, id, &request, expires_us).await?;
    servers::insert(tx, id).await?;
    hold(app, tx, id, cart, now_us).await?;
    Ok(id)
}

/// Holds room and ports on the best node that still has them. One where a create failed a
/// moment ago is the last resort: nothing is made before the customer has paid.
async fn hold(app: &App, tx: &Tx, id: OrderId, cart: &Cart, now_us: i64) -> Result<(), Error> {
    let need = cart.spec.need();
    let views = nodes::views(&**tx, Some(&cart.region)).await?;
    let ranked = placement::rank(&views, need, app.settings.placement, now_us);
    for verdict in ranked.into_iter().filter(placement::Verdict::sellable) {
        // A lost guard means that the view was stale: the next node is tried.
        if holds::take(tx, id, verdict.node_id, need, now_us).await? {
            return Ok(());
        }
    }
    Err(cart.no_capacity().into())
}

/// Opens the session where there is none yet, and reads the order as it is now.
async fn open(
    app: &Arc<App>,
    id: OrderId,
    note: &Note,
    answer_by: Instant,
) -> Result<Facts, Error> {
    let facts = orders::find(app.db.read(), id).await?;
    let facts = facts.ok_or_else(|| Error::Internal(format!("order {id} was not found")))?;
    if facts.billing.session_id.is_some() || facts.billing.over() {
        return Ok(facts);
    }
    let outcome = timeout_at(answer_by, session::open(app, id, note))
        .await
        .map_err(|_| stripe_unavailable())??;
    app.nudge.order(id);
    match outcome {
        session::Outcome::Open(facts) => Ok(*facts),
        session::Outcome::NeverOpened(cause) => Err(never_opened(id, cause)),
        session::Outcome::Later { error } => {
            tracing::warn!(order_id = %id, error, "session is not open yet");
            Err(stripe_unavailable().into())
        }
    }
}

fn never_opened(id: OrderId, cause: session::Cause) -> Error {
    match cause {
        session::Cause::Price(param) => domain::Error::precondition(
            "STRIPE_PRICE_INVALID",
            "Stripe does not sell a price of this order",
            vec![("param", param), ("order_id", id.to_string())],
        )
        .into(),
        session::Cause::Customer => domain::Error::Invalid(vec![domain::Violation {
            field: "email".to_owned(),
            problem: "is not taken by Stripe; check out again with another one".to_owned(),
        }])
        .into(),
        session::Cause::Late => stripe_unavailable().into(),
        session::Cause::Other(param) => {
            Error::Internal(format!("Stripe refuses sessions because of {param}"))
        }
    }
}

fn stripe_unavailable() -> domain::Error {
    domain::Error::Unavailable {
        reason: "STRIPE_UNAVAILABLE",
        message: "Stripe did not open a session; the same request may succeed later",
        after: Duration::from_secs(5),
    }
}

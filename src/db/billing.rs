//! Queries of `billing`: what is known of an order's session and subscription.

use sea_orm::{
    ActiveModelTrait,
    ActiveValue::{Set, Unchanged},
    ColumnTrait, Condition, ConnectionTrait, EntityTrait, ExprTrait, IntoActiveModel, QueryFilter,
    sea_query::Expr,
};

use super::{
    Error, Tx,
    convert::{json, to_json},
    entity::billing,
    orders,
};
use crate::domain::{
    OrderId,
    entitlement::Standing,
    order::{EndWish, ErrorReason, is_settled},
};

/// A request body as stored: pairs in the order they are sent.
pub type Form = Vec<(String, String)>;

/// Stores the billing part of a new order.
pub async fn insert(
    tx: &Tx,
    id: OrderId,
    request: &Form,
    request_expires_us: i64,
) -> Result<(), Error> {
    let row = billing::Model {
        order_id: id.0,
        request: to_json(request)?,
        request_expires_us,
        request_sent_us: None,
        session_id: None,
        session_url: None,
        session_expires_us: None,
        customer_id: None,
        subscription_id: None,
        hints: 0,
        hints_read: 0,
        paid_hint_us: None,
        payment_failed_us: None,
        expire_requested: false,
        never_opened: false,
        session_status: None,
        payment_status: None,
        subscription_status: None,
        current_period_end_us: None,
        cancel_at_us: None,
        past_due_since_us: None,
        suspend_since_us: None,
        ended_at_us: None,
        confirmed_at_us: None,
        read_us: None,
        wish: String::new(),
        wish_us: None,
        refunds_due: 0,
        refund_next_us: None,
        prices: None,
        ends_undelivered_us: None,
        disputes_open: 0,
        disputed_since_us: None,
        collection_paused_us: None,
    };
    row.into_active_model().reset_all().insert(&**tx).await?;
    Ok(())
}

/// The stored session request.
pub async fn request(connection: &impl ConnectionTrait, id: OrderId) -> Result<Form, Error> {
    let row = billing::Entity::find_by_id(id.0).one(connection).await?;
    let row = row.ok_or_else(|| Error::Corrupt(format!("order {id} has no billing row")))?;
    json(row.request, "billing.request")
}

/// What the items of a subscription are to be.
#[derive(Clone, Debug)]
pub struct Ordered {
    /// What the session asked for.
    pub request: Form,
    /// What they are to be since, one piece of each price: `None` where that is the same.
    pub prices: Option<Vec<String>>,
}

impl Ordered {
    fn of(request: serde_json::Value, prices: Option<serde_json::Value>) -> Result<Self, Error> {
        Ok(Self {
            request: json(request, "billing.request")?,
            prices: prices
                .map(|prices| json(prices, "billing.prices"))
                .transpose()?,
        })
    }
}

/// What the items of an order's subscription are to be.
pub async fn ordered(connection: &impl ConnectionTrait, id: OrderId) -> Result<Ordered, Error> {
    let row = billing::Entity::find_by_id(id.0).one(connection).await?;
    let row = row.ok_or_else(|| Error::Corrupt(format!("order {id} has no billing row")))?;
    Ordered::of(row.request, row.prices)
}

/// Stores what the subscription's items are to be from now on.
pub async fn set_prices(tx: &Tx, id: OrderId, prices: &[String]) -> Result<(), Error> {
    let change = billing::ActiveModel {
        order_id: Unchanged(id.0),
        prices: Set(Some(to_json(&prices)?)),
        ..Default::default()
    };
    change.update(&**tx).await?;
    Ok(())
}

/// Completes the session request and notes that it is about to be sent. It is
/// never changed after: Stripe compares it under the idempotency key.
pub async fn complete_request(
    tx: &Tx,
    id: OrderId,
    request: &Form,
    customer_id: &str,
    now_us: i64,
) -> Result<(), Error> {
    let change = billing::ActiveModel {
        order_id: Unchanged(id.0),
        request: Set(to_json(request)?),
        customer_id: Set(Some(customer_id.to_owned())),
        request_sent_us: Set(Some(now_us)),
        ..Default::default()
    };
    change.update(&**tx).await?;
    Ok(())
}

/// Stores the session that was opened, unless one is stored already.
pub async fn set_session(
    tx: &Tx,
    id: OrderId,
    session_id: &str,
    url: Option<&str>,
    expires_us: i64,
    status: &str,
) -> Result<(), Error> {
    billing::Entity::update_many()
        .col_expr(billing::Column::SessionId, Expr::value(session_id))
        .col_expr(
            billing::Column::SessionUrl,
            Expr::value(url.map(str::to_owned)),
        )
        .col_expr(billing::Column::SessionExpiresUs, Expr::value(expires_us))
        .col_expr(billing::Column::SessionStatus, Expr::value(status))
        .filter(billing::Column::OrderId.eq(id.0))
        .filter(billing::Column::SessionId.is_null())
        .filter(billing::Column::NeverOpened.eq(false))
        .exec(&**tx)
        .await?;
    Ok(())
}

/// Stores the id of the session that an event told of, unless one is stored already.
pub async fn hint_session(tx: &Tx, id: OrderId, session_id: &str) -> Result<(), Error> {
    billing::Entity::update_many()
        .col_expr(billing::Column::SessionId, Expr::value(session_id))
        .filter(billing::Column::OrderId.eq(id.0))
        .filter(billing::Column::SessionId.is_null())
        .filter(billing::Column::NeverOpened.eq(false))
        .exec(&**tx)
        .await?;
    Ok(())
}

/// Notes that the session was certainly never opened and never will be.
pub async fn set_never_opened(tx: &Tx, id: OrderId) -> Result<(), Error> {
    billing::Entity::update_many()
        .col_expr(billing::Column::NeverOpened, Expr::value(true))
        .filter(billing::Column::OrderId.eq(id.0))
        .filter(billing::Column::SessionId.is_null())
        .exec(&**tx)
        .await?;
    Ok(())
}

/// Asks that the session be ended early.
pub async fn request_expiry(tx: &Tx, id: OrderId) -> Result<(), Error> {
    let change = billing::ActiveModel {
        order_id: Unchanged(id.0),
        expire_requested: Set(true),
        ..Default::default()
    };
    change.update(&**tx).await?;
    Ok(())
}

/// Notes how the customer wants the subscription to end.
pub async fn set_wish(tx: &Tx, id: OrderId, wish: EndWish, now_us: i64) -> Result<(), Error> {
    let change = billing::ActiveModel {
        order_id: Unchanged(id.0),
        wish: Set(wish.to_string()),
        wish_us: Set(Some(now_us)),
        // What was planned for want of a server is now its customer's own business.
        ends_undelivered_us: Set(None),
        ..Default::default()
    };
    change.update(&**tx).await?;
    Ok(())
}

/// Notes since when its subscription ends with its period for want of a server; none: it does not, or no longer for that.
pub async fn set_ends_undelivered(
    tx: &Tx,
    id: OrderId,
    since_us: Option<i64>,
) -> Result<(), Error> {
    let change = billing::ActiveModel {
        order_id: Unchanged(id.0),
        ends_undelivered_us: Set(since_us),
        ..Default::default()
    };
    change.update(&**tx).await?;
    Ok(())
}

/// Notes that Stripe knows what was wished then; a later wish stays.
pub async fn clear_wish(tx: &Tx, id: OrderId, wish_us: Option<i64>) -> Result<(), Error> {
    billing::Entity::update_many()
        .col_expr(billing::Column::Wish, Expr::value(""))
        .filter(billing::Column::OrderId.eq(id.0))
        .filter(billing::Column::WishUs.eq(wish_us))
        .exec(&**tx)
        .await?;
    Ok(())
}

/// Counts an event that told of this order, and notes when it said that it is paid.
pub async fn add_hint(tx: &Tx, id: OrderId, paid_us: Option<i64>) -> Result<(), Error> {
    let mut update = billing::Entity::update_many()
        .col_expr(
            billing::Column::Hints,
            Expr::col(billing::Column::Hints).add(1),
        )
        .filter(billing::Column::OrderId.eq(id.0));
    if let Some(paid_us) = paid_us {
        update = update.col_expr(billing::Column::PaidHintUs, Expr::value(paid_us));
    }
    update.exec(&**tx).await?;
    Ok(())
}

/// Notes when an event first said that a delayed payment failed. The first time stays: an
/// order that ended by it would wait for another read of Stripe if it moved.
pub async fn hint_payment_failed(tx: &Tx, id: OrderId, now_us: i64) -> Result<(), Error> {
    billing::Entity::update_many()
        .col_expr(billing::Column::PaymentFailedUs, Expr::value(now_us))
        .filter(billing::Column::OrderId.eq(id.0))
        .filter(billing::Column::PaymentFailedUs.is_null())
        .exec(&**tx)
        .await?;
    Ok(())
}

/// What our own read of Stripe showed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Read {
    /// The count of hints when the read began.
    pub hints_read: i64,
    /// What the session said; none once the order is confirmed.
    pub session: Option<SessionRead>,
    /// What the subscription itself said, where there is one.
    pub subscription: Option<SubscriptionRead>,
    /// Whether it is paid and matches the order.
    pub confirmed: bool,
    /// When the read ended.
    pub read_us: i64,
}

/// What a Checkout Session said.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SessionRead {
    /// `open`, `complete`, `expired`.
    pub status: String,
    /// `paid`, `unpaid`, `no_payment_required`.
    pub payment_status: String,
    /// When it ends unless paid.
    pub expires_us: i64,
    /// Where to pay, while it is open.
    pub url: Option<String>,
    /// `cus_...`: stored only if none is.
    pub customer_id: Option<String>,
    /// `sub_...`: stored only if none is.
    pub subscription_id: Option<String>,
}

/// What a subscription said.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SubscriptionRead {
    /// Stripe's own word.
    pub status: String,
    /// Until when it is paid.
    pub current_period_end_us: Option<i64>,
    /// When it will end.
    pub cancel_at_us: Option<i64>,
    /// When it ended.
    pub ended_at_us: Option<i64>,
    /// Since when it is past due, by our own reads.
    pub past_due_since_us: Option<i64>,
    /// Since when billing suspends its server, by our own reads.
    pub suspend_since_us: Option<i64>,
    /// Whether Stripe collects nothing for it.
    pub collection_paused: bool,
}

/// What a read of Stripe was the first to show.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct News {
    /// The session, where it is paid, confirmed or not, and its end was wanted before it was
    /// confirmed.
    pub paid_late: Option<String>,
    /// Whether nothing is collected for the subscription any more, or again.
    pub collection_paused: Option<bool>,
}

/// Stores what our own read of Stripe showed. First values of ids and of the confirmation
/// stay. Tells what is new.
pub async fn set_read(tx: &Tx, id: OrderId, read: &Read) -> Result<News, Error> {
    let row = billing::Entity::find_by_id(id.0).one(&**tx).await?;
    let row = row.ok_or_else(|| Error::Corrupt(format!("order {id} has no billing row")))?;
    let mut change = billing::ActiveModel {
        order_id: Unchanged(id.0),
        hints_read: Set(Ord::max(read.hints_read, row.hints_read)),
        read_us: Set(Some(read.read_us)),
        ..Default::default()
    };
    if let Some(session) = &read.session {
        change.session_status = Set(Some(session.status.clone()));
        change.payment_status = Set(Some(session.payment_status.clone()));
        change.session_expires_us = Set(Some(session.expires_us));
        change.session_url = Set(session.url.clone());
        if row.customer_id.is_none() {
            change.customer_id = Set(session.customer_id.clone());
        }
        if row.subscription_id.is_none() {
            change.subscription_id = Set(session.subscription_id.clone());
        }
    }
    if row.confirmed_at_us.is_none() && read.confirmed {
        change.confirmed_at_us = Set(Some(read.read_us));
    }
    let paid = read
        .session
        .as_ref()
        .is_some_and(|session| session.status == "complete" && is_settled(&session.payment_status));
    let late = paid && row.confirmed_at_us.is_none() && row.wish == EndWish::Now.as_str();
    let mut news = News {
        paid_late: row.session_id.filter(|_| late),
        ..News::default()
    };
    if let Some(subscription) = &read.subscription {
        change.subscription_status = Set(Some(subscription.status.clone()));
        change.current_period_end_us = Set(subscription.current_period_end_us);
        change.cancel_at_us = Set(subscription.cancel_at_us);
        change.ended_at_us = Set(row.ended_at_us.or(subscription.ended_at_us));
        change.past_due_since_us = Set(subscription.past_due_since_us);
        change.suspend_since_us = Set(subscription.suspend_since_us);
        let paused_us = row.collection_paused_us.unwrap_or(read.read_us);
        let paused = subscription.collection_paused;
        change.collection_paused_us = Set(paused.then_some(paused_us));
        let differs = paused != row.collection_paused_us.is_some();
        news.collection_paused = differs.then_some(paused);
    }
    change.update(&**tx).await?;
    Ok(news)
}

/// What is known of an order's subscription, to be compared with a list of Stripe's.
#[derive(Clone, Debug)]
pub struct KnownSubscription {
    /// The order.
    pub order_id: OrderId,
    /// `sub_...`.
    pub subscription_id: Option<String>,
    /// Stripe's own word, as last read.
    pub status: Option<String>,
    /// Until when it is paid.
    pub current_period_end_us: Option<i64>,
    /// When it will end.
    pub cancel_at_us: Option<i64>,
    /// Whether Stripe collects nothing for it, as last read.
    pub collection_paused: bool,
    /// It has ended, or its session has: nothing is read any more.
    pub over: bool,
    /// Something told of it that was not read yet.
    pub to_be_read: bool,
    /// What its items are to be; none where that cannot be read.
    pub ordered: Option<Ordered>,
    /// Why the order is parked, if it is.
    pub parked: Option<ErrorReason>,
}

/// Orders with one of these subscriptions, and these orders themselves.
pub async fn known_subscriptions(
    connection: &impl ConnectionTrait,
    subscription_ids: &[&str],
    order_ids: &[OrderId],
) -> Result<Vec<KnownSubscription>, Error> {
    let one_of = Condition::any()
        .add(billing::Column::SubscriptionId.is_in(subscription_ids.iter().copied()))
        .add(billing::Column::OrderId.is_in(order_ids.iter().map(|id| id.0)));
    let rows = billing::Entity::find()
        .filter(one_of)
        .all(connection)
        .await?;
    let ids: Vec<OrderId> = rows.iter().map(|row| OrderId(row.order_id)).collect();
    let parked = orders::parked(connection, &ids).await?;
    let known = rows.into_iter().map(|row| KnownSubscription {
        parked: parked.get(&OrderId(row.order_id)).copied(),
        order_id: OrderId(row.order_id),
        over: row.ended_at_us.is_some()
            || row.never_opened
            || row.session_status.as_deref() == Some("expired")
            || Standing::of(row.subscription_status.as_deref()) == Standing::Over,
        to_be_read: row.hints > row.hints_read,
        subscription_id: row.subscription_id,
        status: row.subscription_status,
        current_period_end_us: row.current_period_end_us,
        cancel_at_us: row.cancel_at_us,
        collection_paused: row.collection_paused_us.is_some(),
        // One order that cannot be read must not hide the news of all others.
        ordered: Ordered::of(row.request, row.prices).ok(),
    });
    Ok(known.collect())
}

/// The order of a session or a subscription, where we know it.
pub async fn order_of(
    connection: &impl ConnectionTrait,
    session_id: Option<&str>,
    subscription_id: Option<&str>,
) -> Result<Option<OrderId>, Error> {
    if let Some(subscription) = subscription_id {
        let found = billing::Entity::find()
            .filter(billing::Column::SubscriptionId.eq(subscription))
            .one(connection)
            .await?;
        if let Some(row) = found {
            return Ok(Some(OrderId(row.order_id)));
        }
    }
    if let Some(session) = session_id {
        let found = billing::Entity::find()
            .filter(billing::Column::SessionId.eq(session))
            .one(connection)
            .await?;
        return Ok(found.map(|row| OrderId(row.order_id)));
    }
    Ok(None)
}

//! Finds subscriptions that are not as we last read them, though no event told of it: the
//! safety net below the events, which Stripe itself may lose. What is missing in the list
//! means nothing. Those that live although nothing is delivered for them go back where a session of
//! ours made them; the others are counted and told: somebody pays, and only a person can find out
//! what for.

use std::{collections::HashMap, sync::Arc};

use super::{
    Found, SUBSCRIPTIONS, count_cut_short, cut_short,
    hint::{Find, tell},
    one_of_many,
};
use crate::{
    app::{App, Error, checkout::form, stripe_events},
    db::{
        billing::{self, KnownSubscription},
        orders,
    },
    domain::{OrderId, SECOND_US, entitlement::Standing, ids::parse_uuid, order::ErrorReason},
    stripe::{self, Subscription},
};

const ACTOR: &str = "sweep:subscriptions";
/// Pages of 100 subscriptions in one run.
const PAGES: usize = 20;

pub(super) async fn run(app: &Arc<App>, cursor: &str) -> Result<Found, Error> {
    let mut finds = 0;
    let mut after = (!cursor.is_empty()).then(|| cursor.to_owned());
    let (mut more, mut soon, mut unclear) = (true, false, false);
    for _ in 0..PAGES {
        let page = match app.stripe.subscriptions(after.as_deref()).await {
            Ok(page) => page,
            Err(error) => {
                cut_short(SUBSCRIPTIONS, &error, "Stripe's subscriptions");
                if let stripe::Error::Invalid { .. } | stripe::Error::NotFound { .. } = error {
                    // What the look was to go on behind is gone.
                    after = None;
                }
                (more, soon) = (false, true);
                break;
            }
        };
        let seen = compare(app, &page.data).await?;
        finds += seen.finds;
        unclear |= seen.unclear;
        after = page.data.last().map(|listed| listed.id.clone());
        after = after.filter(|_| page.has_more);
        more = after.is_some();
        if !more {
            break;
        }
    }
    if unclear {
        count_cut_short(SUBSCRIPTIONS);
        soon |= !more;
    }
    // Where there are more pages than one run reads, the next run goes on behind them.
    Ok(Found {
        finds,
        cursor: after.unwrap_or_default(),
        more,
        soon,
    })
}

/// What a page tells.
#[derive(Clone, Copy, Debug, Default)]
struct Seen {
    finds: i32,
    /// Stripe did not say all: it is to be looked at again.
    unclear: bool,
}

impl Seen {
    const UNCLEAR: Self = Self {
        finds: 0,
        unclear: true,
    };

    const fn one() -> Self {
        Self {
            finds: 1,
            unclear: false,
        }
    }
}

async fn compare(app: &Arc<App>, listed: &[Subscription]) -> Result<Seen, Error> {
    let ids: Vec<&str> = listed.iter().map(|listed| listed.id.as_str()).collect();
    let named: Vec<OrderId> = listed.iter().filter_map(order_of).collect();
    let known = billing::known_subscriptions(app.db.read(), &ids, &named).await?;
    let by_order: HashMap<OrderId, KnownSubscription> =
        known.into_iter().map(|row| (row.order_id, row)).collect();
    let by_id: HashMap<&str, &KnownSubscription> = by_order
        .values()
        .filter_map(|row| Some((row.subscription_id.as_deref()?, row)))
        .collect();
    let mut seen = Seen::default();
    for listed in listed {
        if listed.livemode != app.stripe.livemode() {
            continue;
        }
        let known = by_id.get(listed.id.as_str()).copied();
        // The first subscription of an order is its only one.
        let known = known.or_else(|| {
            let row = by_order.get(&order_of(listed)?)?;
            row.subscription_id.is_none().then_some(row)
        });
        if let Some(why) = stray(listed, known, &by_order) {
            let stray = handle_stray(app, listed, why).await;
            let stray = one_of_many(SUBSCRIPTIONS, &listed.id, stray)?;
            seen.finds += stray.finds;
            seen.unclear |= stray.unclear;
        }
        let Some(known) = known else { continue };
        let told = tell_of_news(app, known, listed).await;
        seen.finds += i32::from(one_of_many(SUBSCRIPTIONS, &known.order_id, told)?);
    }
    Ok(seen)
}

/// Has an order read that is not as we know it. Tells whether it is one.
async fn tell_of_news(
    app: &Arc<App>,
    known: &KnownSubscription,
    listed: &Subscription,
) -> Result<bool, Error> {
    if !differs(known, listed) && !has_other_items(app, known, listed).await? {
        return Ok(false);
    }
    let find = Find {
        actor: ACTOR,
        cause: &listed.id,
        text: "Stripe's list shows another state of its subscription; no event told of it",
        paid_session: None,
    };
    tell(app, known.order_id, &find).await?;
    Ok(true)
}

/// Why somebody pays for a subscription for which nothing is delivered here.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Stray {
    /// It names an order as ours are named, and there is none.
    NoSuchOrder,
    /// It names an order that has another one.
    SecondOfOrder,
    /// Its order is over, by Stripe's own word.
    OrderOver,
}

impl Stray {
    const fn as_str(self) -> &'static str {
        match self {
            Self::NoSuchOrder => "no_such_order",
            Self::SecondOfOrder => "second_of_order",
            Self::OrderOver => "order_over",
        }
    }
}

/// Gives back what was paid for one that its order has no place for, and tells of one that nobody
/// here sold.
async fn handle_stray(app: &Arc<App>, listed: &Subscription, why: Stray) -> Result<Seen, Error> {
    if why != Stray::NoSuchOrder
        && let Some(id) = order_of(listed)
    {
        // What is still in the list may have ended.
        match app.stripe.subscription(&listed.id).await {
            Ok(now) if !lives(&now) => return Ok(Seen::default()),
            Ok(_) | Err(_) => {}
        }
        match stripe_events::give_back_of(app, id, &listed.id, ACTOR).await? {
            stripe_events::Stray::GoesBack => return Ok(Seen::one()),
            stripe_events::Stray::Unknown => return Ok(Seen::UNCLEAR),
            stripe_events::Stray::ForPeople => {}
        }
    }
    metrics::counter!("spawnpoint_subscriptions_stray_total", "why" => why.as_str()).increment(1);
    tracing::error!(
        subscription_id = listed.id,
        order_id = listed.order_id,
        why = why.as_str(),
        "a subscription lives, and nothing is delivered for it"
    );
    Ok(Seen::one())
}

/// Whether nobody here has to do with one that lives.
fn stray(
    listed: &Subscription,
    known: Option<&KnownSubscription>,
    by_order: &HashMap<OrderId, KnownSubscription>,
) -> Option<Stray> {
    if !lives(listed) {
        return None;
    }
    if let Some(known) = known {
        return known.over.then_some(Stray::OrderOver);
    }
    let id = order_of(listed).filter(|id| id.may_be_ours())?;
    Some(if by_order.contains_key(&id) {
        Stray::SecondOfOrder
    } else {
        Stray::NoSuchOrder
    })
}

/// Whether somebody pays for it, or may. One whose first payment is still to come (`incomplete`) is
/// looked at once it came.
fn lives(listed: &Subscription) -> bool {
    listed.ended_at.is_none()
        && listed.status != "incomplete"
        && Standing::of(Some(&listed.status)) != Standing::Over
}

fn order_of(listed: &Subscription) -> Option<OrderId> {
    listed.order_id.as_deref().and_then(parse_uuid).map(OrderId)
}

/// Whether its items are not what is known of them: not the order's, and no change of plan is on its
/// way; or the order's again, and the finding that they were not still stands. An order that is
/// parked for something else shows that, and is read whole once somebody wakes it.
async fn has_other_items(
    app: &App,
    known: &KnownSubscription,
    listed: &Subscription,
) -> Result<bool, Error> {
    let (Some(ordered), Some(lines)) = (&known.ordered, listed.lines.as_deref()) else {
        return Ok(false);
    };
    if known.over || known.to_be_read {
        return Ok(false);
    }
    let same = form::same_lines(&form::items(ordered), Some(lines));
    if same || known.parked.is_some() {
        return Ok(same && known.parked == Some(ErrorReason::PlanMismatch));
    }
    let facts = orders::find(app.db.read(), known.order_id).await?;
    Ok(facts.is_some_and(|facts| facts.billing.confirmed() && facts.wanted_plan().is_none()))
}

/// Whether a read would show something new; not while one is due anyway.
fn differs(known: &KnownSubscription, listed: &Subscription) -> bool {
    let micros = |seconds: Option<i64>| seconds.map(|s| s.saturating_mul(SECOND_US));
    !known.over
        && !known.to_be_read
        && (known.status.as_deref() != Some(listed.status.as_str())
            || known.current_period_end_us != micros(listed.current_period_end)
            || known.cancel_at_us != micros(listed.cancel_at)
            || known.collection_paused != listed.collection_paused
            || listed.ended_at.is_some())
}

//! Finds subscriptions that are not as we last read them, though no event told of it: the
//! safety net below the events, which Stripe itself may lose. What is missing in the list
//! means nothing. Those that live although nothing is delivered for them are counted and told:
//! somebody pays, and only a person can find out what for.

use std::{collections::HashMap, sync::Arc};

use super::{
    Found, SUBSCRIPTIONS, cut_short,
    hint::{Find, tell},
};
use crate::{
    app::{App, Error, checkout::form},
    db::{
        billing::{self, KnownSubscription},
        orders,
    },
    domain::{OrderId, SECOND_US, entitlement::Standing, ids::parse_uuid, order::ErrorReason},
    stripe::{self, Subscription},
};

/// Pages of 100 subscriptions in one run.
const PAGES: usize = 20;

pub(super) async fn run(app: &Arc<App>, cursor: &str) -> Result<Found, Error> {
    let mut finds = 0;
    let mut after = (!cursor.is_empty()).then(|| cursor.to_owned());
    let (mut more, mut soon) = (true, false);
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
        finds += compare(app, &page.data).await?;
        after = page.data.last().map(|listed| listed.id.clone());
        after = after.filter(|_| page.has_more);
        more = after.is_some();
        if !more {
            break;
        }
    }
    // Where there are more pages than one run reads, the next run goes on behind them.
    Ok(Found {
        finds,
        cursor: after.unwrap_or_default(),
        more,
        soon,
    })
}

async fn compare(app: &Arc<App>, listed: &[Subscription]) -> Result<i32, Error> {
    let ids: Vec<&str> = listed.iter().map(|listed| listed.id.as_str()).collect();
    let named: Vec<OrderId> = listed.iter().filter_map(order_of).collect();
    let known = billing::known_subscriptions(app.db.read(), &ids, &named).await?;
    let by_order: HashMap<OrderId, KnownSubscription> =
        known.into_iter().map(|row| (row.order_id, row)).collect();
    let by_id: HashMap<&str, &KnownSubscription> = by_order
        .values()
        .filter_map(|row| Some((row.subscription_id.as_deref()?, row)))
        .collect();
    let mut finds = 0;
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
            metrics::counter!("spawnpoint_subscriptions_stray_total", "why" => why.as_str())
                .increment(1);
            tracing::error!(
                subscription_id = listed.id,
                order_id = listed.order_id,
                why = why.as_str(),
                "a subscription lives, and nothing is delivered for it"
            );
            finds += 1;
        }
        let Some(known) = known else { continue };
        if differs(known, listed) || has_other_items(app, known, listed).await? {
            let find = Find {
                actor: "sweep:subscriptions",
                cause: &listed.id,
                text: "Stripe's list shows another state of its subscription; no event told of it",
                paid_session: None,
            };
            tell(app, known.order_id, &find).await?;
            finds += 1;
        }
    }
    Ok(finds)
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

/// Whether nobody here has to do with one that lives. A second one whose event came is given back
/// by itself and ends by that, as does one of an order that was given up: a later look finds them
/// over.
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

fn lives(listed: &Subscription) -> bool {
    listed.ended_at.is_none() && Standing::of(Some(&listed.status)) != Standing::Over
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

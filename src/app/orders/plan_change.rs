//! ChangePlan: another plan, other add-ons, for the same server and term. Room for it is held
//! first; the worker has Stripe charge the difference, and the server follows once that is paid.

use std::sync::Arc;

use uuid::Uuid;

use super::{
    change::{Change, live, refuse},
    visible,
};
use crate::{
    app::{App, Caller, Error, catalog::basket, checkout},
    db::{Tx, holds, order_changes},
    domain::{
        self, OrderId,
        catalog::Spec,
        lenience::Lenience,
        order::{ErrorReason, Facts},
        plan_change::{PlanChange, hindrance, larger},
    },
};

const METHOD: &str = "OrderService/ChangePlan";

/// What an order is to be for.
#[derive(Clone, Debug)]
pub struct Wanted {
    /// The plan.
    pub plan_id: String,
    /// All its add-ons, also those that the order has.
    pub addon_ids: Vec<String>,
}

impl Wanted {
    /// The same call has the same bytes.
    fn canonical(&self) -> Vec<u8> {
        let mut addons = self.addon_ids.clone();
        addons.sort_unstable();
        addons.insert(0, self.plan_id.clone());
        addons.join("\0").into_bytes()
    }

    /// Whether an order has it.
    fn is_had_by(&self, facts: &Facts) -> bool {
        let sorted = |addons: &[String]| {
            let mut addons = addons.to_vec();
            addons.sort_unstable();
            addons
        };
        self.plan_id == facts.order.plan_id
            && sorted(&self.addon_ids) == sorted(&facts.order.addons)
    }
}

/// Begins a change of an order's plan.
pub async fn change_plan(
    app: &Arc<App>,
    caller: &Caller,
    id: OrderId,
    wanted: &Wanted,
    request_id: Uuid,
) -> Result<Facts, Error> {
    let scope = caller.may(METHOD)?;
    let now = visible(app, scope, id).await?;
    // Stripe is asked before anything is locked; what the order says of it is the call's answer
    // only where this call is not a repeat.
    let target = match target(app, &now, wanted).await {
        Ok(target) => Ok(target),
        Err(Error::Refused(refusal)) => Err(refusal),
        Err(error) => return Err(error),
    };
    let (target, body) = (&target, wanted.canonical());
    let change = Change::new(caller, METHOD, id, Some(request_id), &body);
    change
        .make(app, |tx, facts, _, now_us| async move {
            live(&facts)?;
            ready(&facts)?;
            let as_sold = facts.order.error_reason != Some(ErrorReason::PlanMismatch);
            if wanted.is_had_by(&facts) && as_sold {
                return Ok(());
            }
            let target = target.as_ref().map_err(domain::Error::clone)?;
            begin(&tx, &facts, target, now_us).await
        })
        .await
}

/// Refuses where the server, its subscription or an earlier change is not where another change
/// can begin.
fn ready(facts: &Facts) -> Result<(), Error> {
    if facts.change.is_some() {
        let message = "an earlier change of the plan is on its way";
        return Err(refuse(facts, "CHANGE_PENDING", message));
    }
    let Some(why) = hindrance(facts) else {
        return Ok(());
    };
    Err(refuse(facts, "SERVER_NOT_READY", why))
}

/// What of the catalog the order is to have, checked as at checkout.
async fn target(app: &App, facts: &Facts, wanted: &Wanted) -> Result<PlanChange, Error> {
    let order = &facts.order;
    let basket = basket(&app.db, &wanted.plan_id, &wanted.addon_ids).await?;
    let plan = &basket.plan.clone();
    if !plan.is_active && plan.id != order.plan_id {
        let metadata = vec![("plan_id", plan.id.clone())];
        let message = format!("plan {} is not sold", plan.id);
        return Err(domain::Error::precondition("PLAN_INACTIVE", message, metadata).into());
    }
    let incompatible = |why: &str| -> Error {
        let metadata = vec![("plan_id", plan.id.clone())];
        let message = format!("plan {} is for {why}", plan.id);
        domain::Error::precondition("PLAN_INCOMPATIBLE", message, metadata).into()
    };
    if plan.item_type.as_str() != order.item_type {
        return Err(incompatible("another type of server"));
    }
    let Some(spec) = basket.spec().filter(|spec| spec.game == order.spec.game) else {
        return Err(incompatible("another game"));
    };
    let cart = checkout::Cart::of(basket, &order.term, &order.region, spec)?;
    if cart.currency() != order.currency {
        return Err(incompatible("another currency"));
    }
    checkout::prices::check(app, &cart).await?;
    Ok(planned(wanted, &cart, app.settings.lenience()))
}

/// The change to a cart, in a shop that is so lenient where its plan says nothing else.
fn planned(wanted: &Wanted, cart: &checkout::Cart, shop: Lenience) -> PlanChange {
    let manual = cart.addons.iter().filter(|addon| addon.manual);
    PlanChange {
        plan_id: cart.plan.id.clone(),
        addons: wanted.addon_ids.clone(),
        manual_addons: manual.map(|addon| addon.id.clone()).collect(),
        spec: cart.spec.clone(),
        price_minor: cart.total_minor(),
        prices: cart
            .prices
            .iter()
            .map(|price| price.stripe_price_id.clone())
            .collect(),
        lenience: Some(cart.plan.lenience(shop)),
        asked_us: 0,
        request: None,
        sent_us: None,
        answered: false,
    }
}

/// Holds what the larger of both plans needs, where the server is, and stores the change.
async fn begin(tx: &Tx, facts: &Facts, target: &PlanChange, now_us: i64) -> Result<(), Error> {
    let (id, had) = (facts.order.id, &facts.order.spec);
    if target.spec.disk_mb < had.disk_mb {
        let metadata = vec![
            ("plan_id", target.plan_id.clone()),
            ("disk_mb", target.spec.disk_mb.to_string()),
            ("sold_disk_mb", had.disk_mb.to_string()),
        ];
        let message = "a server's disk does not shrink";
        return Err(domain::Error::precondition("DISK_SHRINK", message, metadata).into());
    }
    // The server keeps the ports that it listens on.
    let spec = Spec {
        ports: had.ports,
        ..target.spec.clone()
    };
    if !holds::resize(tx, id, larger(had, &spec)).await? {
        let metadata = vec![
            ("plan_id", target.plan_id.clone()),
            ("region", facts.order.region.clone()),
        ];
        let message = format!("the server's node has no room for {}", target.plan_id);
        return Err(domain::Error::precondition("NO_CAPACITY", message, metadata).into());
    }
    let change = PlanChange {
        spec,
        asked_us: now_us,
        ..target.clone()
    };
    Ok(order_changes::insert(tx, id, &change).await?)
}

//! The demo's second act: what becomes of a server whose customer does not pay, pays after
//! all, and leaves. Days pass by the clocks of Stripe and of the control plane.

use std::time::{Duration, Instant};

use spawnpoint::rpc::proto::{self, ServerState, order_service_client::OrderServiceClient};

use uuid::Uuid;

use crate::{
    demo::Purchase,
    stripe::{Refusal, SubscriptionStatus},
    world::Error,
};

/// Twice the plan that the demo buys.
const LARGER: &str = "mc-4gb";
const LARGER_MB: i64 = 4096;
const DAY: Duration = Duration::from_secs(24 * 3600);
/// As the example shop has it.
const GRACE: Duration = Duration::from_secs(3 * 24 * 3600);
const RETENTION: Duration = Duration::from_secs(7 * 24 * 3600);
/// More than a month, whichever it is.
const MONTH: Duration = Duration::from_secs(32 * 24 * 3600);
/// Longer than anything takes but the days themselves.
const PATIENCE: Duration = Duration::from_secs(60);

/// Lives the rest of an order whose server runs.
pub async fn live(purchase: &Purchase<'_>, order_id: &str) -> Result<(), Error> {
    let story = purchase.story;
    let life = Life {
        purchase,
        order_id,
        subscription: subscription(purchase, order_id)?,
    };
    story.line("");
    life.upgrade().await?;
    life.fail_payment().await?;
    life.pay().await?;
    life.leave().await?;
    let left = purchase.world.panel.server(order_id);
    if left.is_some() {
        return Err("the panel still has the server".into());
    }
    story.tell("the panel has no such server any more");
    Ok(())
}

struct Life<'a> {
    purchase: &'a Purchase<'a>,
    order_id: &'a str,
    subscription: String,
}

fn subscription(purchase: &Purchase<'_>, order_id: &str) -> Result<String, Error> {
    let mut subscriptions = purchase.world.stripe.subscriptions().into_iter();
    let ours = subscriptions.find(|subscription| {
        let named = subscription.metadata.get("order_id");
        named.map(String::as_str) == Some(order_id)
    });
    Ok(ours.ok_or("Stripe has no subscription of the order")?.id)
}

fn refused(refusal: Refusal) -> Error {
    refusal.message.into()
}

impl Life<'_> {
    fn tell(&self, text: &str) {
        self.purchase.story.tell(text);
    }

    /// Lets days pass for Stripe and the control plane.
    fn pass(&self, by: Duration) {
        self.tell(&format!("-- {} days pass", by.as_secs() / DAY.as_secs()));
        let world = self.purchase.world;
        world.stripe.advance(by);
        let by_us = i64::try_from(by.as_micros()).unwrap_or(i64::MAX);
        for core in &world.cores {
            core.app.db.shift_clock(by_us);
            core.app.nudge.all_here();
        }
    }

    async fn until(&self, holds: impl Fn(&proto::Order) -> bool) -> Result<(), Error> {
        let reached = |order: &proto::Order| holds(order).then_some(Ok(()));
        let followed = self.purchase.follow_to(self.order_id, PATIENCE, reached);
        followed.await
    }

    async fn until_server(&self, state: ServerState) -> Result<(), Error> {
        self.until(|order| order.server_state() == state).await
    }

    /// A larger plan, for which the card is not good at first.
    async fn upgrade(&self) -> Result<(), Error> {
        self.tell(&format!(
            "-- the customer takes {LARGER}; the card declines"
        ));
        let stripe = &self.purchase.world.stripe;
        let declines = |yes| stripe.set_card_declines(&self.subscription, yes);
        declines(true).map_err(refused)?;
        let message = proto::ChangePlanRequest {
            order_id: self.order_id.to_owned(),
            plan_id: LARGER.to_owned(),
            addon_ids: Vec::new(),
            request_id: Uuid::new_v4().to_string(),
        };
        let mut orders = OrderServiceClient::new(self.purchase.channel.clone());
        orders.change_plan(self.purchase.request(message)?).await?;
        let pending = || {
            let subscription = stripe.subscription(&self.subscription);
            subscription.is_some_and(|found| found.pending_update.is_some())
        };
        let began = Instant::now();
        while !pending() {
            if began.elapsed() > PATIENCE {
                return Err("Stripe was not told of the change".into());
            }
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        self.tell("-- the customer pays the difference");
        declines(false).map_err(refused)?;
        let paid = stripe.pay_pending_update(&self.subscription);
        paid.map_err(refused)?;
        self.until(|order| order.plan_id == LARGER).await?;
        let panel = &self.purchase.world.panel;
        let memory = || panel.server(self.order_id).map(|server| server.memory);
        let began = Instant::now();
        while memory() != Some(LARGER_MB) {
            if began.elapsed() > PATIENCE {
                return Err("the panel has not given the server its limits".into());
            }
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        self.tell(&format!("the panel gives the server {LARGER_MB} MiB"));
        Ok(())
    }

    async fn fail_payment(&self) -> Result<(), Error> {
        self.tell("-- a renewal is not paid; Stripe will try again");
        let stripe = &self.purchase.world.stripe;
        stripe.fail_payment(&self.subscription).map_err(refused)?;
        self.until(|order| order.subscription_status == "past_due")
            .await?;
        self.pass(GRACE);
        self.until_server(ServerState::Suspended).await
    }

    async fn pay(&self) -> Result<(), Error> {
        self.tell("-- the customer pays");
        let stripe = &self.purchase.world.stripe;
        let paid = SubscriptionStatus::Active;
        stripe
            .set_subscription_status(&self.subscription, paid)
            .map_err(refused)?;
        self.until_server(ServerState::Running).await
    }

    async fn leave(&self) -> Result<(), Error> {
        self.tell("-- the customer cancels, with the month that is paid for");
        let message = proto::CancelOrderRequest {
            order_id: self.order_id.to_owned(),
            at_period_end: true,
            request_id: String::new(),
        };
        let mut orders = OrderServiceClient::new(self.purchase.channel.clone());
        orders.cancel_order(self.purchase.request(message)?).await?;
        self.until(|order| order.cancel_time.is_some()).await?;
        self.pass(MONTH);
        self.until(|order| {
            order.status() == proto::OrderStatus::Canceled
                && order.server_state() == ServerState::Suspended
        })
        .await?;
        self.pass(RETENTION);
        self.until_server(ServerState::Deleted).await
    }
}

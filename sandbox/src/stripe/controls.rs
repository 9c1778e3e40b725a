//! What a test may do to the stand-in and read from it, without going through the API.
//!
//! The control calls over HTTP are a thin skin over these methods.

use std::time::Duration;

use serde_json::Value;

use super::calls::Call;
use super::errors::Refusal;
use super::invoices;
use super::prices::PriceSpec;
use super::sessions::complete::{self, PayMode};
use super::sessions::{self};
use super::subscriptions::lag::{LagCounts, SubscriptionLag};
use super::subscriptions::{self, SubscriptionStatus, pending};
use super::version::ApiVersion;
use super::views::{CustomerView, EventView, PortalView, SessionView, SubscriptionView};
use super::webhooks::{Delivery, ReleaseOrder, WebhookCounts, WebhookSwitches};
use super::world::{App, World};
use crate::faults::{Fault, FaultId};

mod money;

/// A clonable handle on a running stand-in.
#[derive(Clone)]
pub struct Controls {
    pub(super) app: App,
}

impl Controls {
    /// Where the API and the hosted pages are served, without a slash at the end.
    pub fn url(&self) -> String {
        self.app.world().base_url.clone()
    }

    /// The key callers must send.
    pub fn secret_key(&self) -> String {
        self.app.world().config.secret_key.clone()
    }

    /// Every API call so far.
    pub fn calls(&self) -> Vec<Call> {
        self.app.world().calls.clone()
    }

    /// How many calls of a method came under a path.
    pub fn count(&self, method: &str, path_prefix: &str) -> usize {
        let world = self.app.world();
        let matches = |call: &&Call| call.method == method && call.path.starts_with(path_prefix);
        world.calls.iter().filter(matches).count()
    }

    /// All customers, oldest first.
    pub fn customers(&self) -> Vec<CustomerView> {
        self.look(|world| world.customers.iter().map(CustomerView::from).collect())
    }

    /// All sessions, oldest first.
    pub fn sessions(&self) -> Vec<SessionView> {
        self.look(|world| world.sessions.iter().map(SessionView::from).collect())
    }

    /// One session.
    pub fn session(&self, id: &str) -> Option<SessionView> {
        self.look(|world| world.sessions.get(id).map(SessionView::from))
    }

    /// All subscriptions, oldest first.
    pub fn subscriptions(&self) -> Vec<SubscriptionView> {
        self.look(|world| {
            world
                .subscriptions
                .iter()
                .map(SubscriptionView::from)
                .collect()
        })
    }

    /// All pages of the portal, oldest first.
    pub fn portal_pages(&self) -> Vec<PortalView> {
        self.look(|world| {
            let view = |page| PortalView::new(page, &world.portal);
            world.portal_pages.iter().map(view).collect()
        })
    }

    /// One subscription.
    pub fn subscription(&self, id: &str) -> Option<SubscriptionView> {
        self.look(|world| world.subscriptions.get(id).map(SubscriptionView::from))
    }

    /// Lets the buyer finish the page.
    pub fn pay(&self, session_id: &str, mode: PayMode) -> Result<SessionView, Refusal> {
        self.on_session(session_id, |world| complete::pay(world, session_id, mode))
    }

    /// Ends the wait for a delayed payment.
    pub fn settle(&self, session_id: &str, ok: bool) -> Result<SessionView, Refusal> {
        self.on_session(session_id, |world| complete::settle(world, session_id, ok))
    }

    /// Ends an open session before its time.
    pub fn expire(&self, session_id: &str) -> Result<SessionView, Refusal> {
        self.on_session(session_id, |world| sessions::expire_now(world, session_id))
    }

    /// Types a promotion code into the page.
    pub fn apply_promotion(&self, session_id: &str, code: &str) -> Result<SessionView, Refusal> {
        self.on_session(session_id, |world| {
            complete::apply_promotion(world, session_id, code)
        })
    }

    /// Cancels a subscription now, as a customer in the portal would.
    pub fn cancel_subscription(&self, id: &str) -> Result<SubscriptionView, Refusal> {
        let reason = "cancellation_requested";
        self.on_subscription(id, |world| subscriptions::cancel(world, id, reason))
    }

    /// Lets a renewal fail: an open invoice, `invoice.payment_failed`, `past_due`. The period stays.
    pub fn fail_payment(&self, id: &str) -> Result<SubscriptionView, Refusal> {
        self.on_subscription(id, |world| {
            subscriptions::fail_payment(world, id).map(|_| ())
        })
    }

    /// As [`Self::fail_payment`], because the customer's bank wants to hear from the customer.
    pub fn require_action(&self, id: &str) -> Result<SubscriptionView, Refusal> {
        self.on_subscription(id, |world| {
            let invoice = subscriptions::fail_payment(world, id)?;
            invoices::announce_action(world, &invoice);
            Ok(())
        })
    }

    /// Puts a subscription into a status.
    pub fn set_subscription_status(
        &self,
        id: &str,
        status: SubscriptionStatus,
    ) -> Result<SubscriptionView, Refusal> {
        self.on_subscription(id, |world| subscriptions::set_status(world, id, status))
    }

    /// Plans the end of a subscription for the end of its period, or takes that back.
    pub fn cancel_at_period_end(&self, id: &str, on: bool) -> Result<SubscriptionView, Refusal> {
        self.on_subscription(id, |world| {
            let now = world.now();
            subscriptions::change_end(world, id, |subscription| {
                subscription.cancel_at_period_end = on;
                subscription.canceled_at = on.then_some(now);
                subscription.reason = on.then_some("cancellation_requested");
            })
        })
    }

    /// Stops collecting for a subscription, as in the Dashboard, or goes on.
    pub fn pause_collection(&self, id: &str, on: bool) -> Result<SubscriptionView, Refusal> {
        self.on_subscription(id, |world| subscriptions::pause_collection(world, id, on))
    }

    /// Whether the card of a subscription is declined when changes of its items are to be paid.
    pub fn set_card_declines(
        &self,
        subscription_id: &str,
        declines: bool,
    ) -> Result<SubscriptionView, Refusal> {
        self.on_subscription(subscription_id, |world| {
            let subscription = world.subscriptions.find_mut(subscription_id)?;
            subscription.card_declines = declines;
            Ok(())
        })
    }

    /// Lets the customer pay the open invoice of a pending update on Stripe's page, whatever the
    /// card of the subscription.
    pub fn pay_pending_update(&self, subscription_id: &str) -> Result<SubscriptionView, Refusal> {
        self.on_subscription(subscription_id, |world| {
            pending::pay(world, subscription_id)
        })
    }

    /// Puts a price into the catalogue, or replaces the one with its id.
    pub fn add_price(&self, spec: PriceSpec) {
        self.look(|world| world.add_price(spec));
    }

    /// Sends webhooks to this endpoint and no other.
    pub fn set_webhook_endpoint(
        &self,
        url: &str,
        secret: &str,
        api_version: &str,
    ) -> Result<(), Refusal> {
        let version = ApiVersion::parse(api_version)?;
        let mut world = self.app.world();
        world.webhooks.remove_endpoints();
        world.webhooks.add_endpoint(url, secret, version);
        Ok(())
    }

    /// Sends webhooks to one more endpoint.
    pub fn add_webhook_endpoint(
        &self,
        url: &str,
        secret: &str,
        api_version: &str,
    ) -> Result<(), Refusal> {
        let version = ApiVersion::parse(api_version)?;
        self.app.world().webhooks.add_endpoint(url, secret, version);
        Ok(())
    }

    /// Gives the endpoints a new secret; from now on both sign.
    pub fn roll_webhook_secret(&self, secret: &str) {
        self.app.world().webhooks.roll_secret(secret);
    }

    /// How events are delivered.
    pub fn webhooks(&self) -> WebhookSwitches {
        self.app.world().webhooks.switches
    }

    /// Changes how events are delivered.
    pub fn set_webhooks(&self, switches: WebhookSwitches) {
        self.app.world().webhooks.switches = switches;
    }

    /// The ids of held events, one for each copy.
    pub fn held(&self) -> Vec<String> {
        self.app.world().webhooks.held()
    }

    /// Lets held events go in this order, one copy per mention.
    pub fn release(&self, event_ids: &[String]) -> Result<(), Refusal> {
        self.app.world().webhooks.release(event_ids)
    }

    /// Lets all held events go.
    pub fn release_all(&self, order: ReleaseOrder) {
        self.app.world().webhooks.release_all(order);
    }

    /// Never delivers events of these types by themselves, as in `invoice.*`; none for all again.
    pub fn withhold(&self, types: &[&str]) {
        let types = types.iter().map(|kind| (*kind).to_owned());
        self.app.world().webhooks.withheld = types.collect();
    }

    /// How often the switches of delivery had an effect.
    pub fn webhook_counts(&self) -> WebhookCounts {
        self.app.world().webhooks.counts
    }

    /// Sends an event to every endpoint now, whatever the switches say.
    pub fn deliver(&self, event_id: &str) -> Result<(), Refusal> {
        let mut world = self.app.world();
        world.events.find(event_id)?;
        world.webhooks.resend(event_id, None);
        Ok(())
    }

    /// Sends an event to every endpoint now, in the form of this version.
    pub fn deliver_as(&self, event_id: &str, api_version: &str) -> Result<(), Refusal> {
        let version = ApiVersion::parse(api_version)?;
        let mut world = self.app.world();
        world.events.find(event_id)?;
        world.webhooks.resend(event_id, Some(&version));
        Ok(())
    }

    /// Lets the subscriptions of sessions that are paid from now on be seen late; none for at once.
    pub fn lag_subscriptions(&self, lag: Option<SubscriptionLag>) {
        self.app.world().lags.setting = lag;
    }

    /// Shows every subscription that is late; the answer is how many there were.
    pub fn reveal_subscriptions(&self) -> usize {
        self.look(World::reveal_all)
    }

    /// How often subscriptions came late, and reads found nothing because of that.
    pub fn lag_counts(&self) -> LagCounts {
        self.app.world().lags.counts
    }

    /// Sends failed deliveries once more, where the policy leaves that to hand.
    pub fn retry_failed(&self) -> usize {
        self.app.world().webhooks.retry_failed()
    }

    /// Every attempt so far.
    pub fn deliveries(&self) -> Vec<Delivery> {
        self.app.world().webhooks.deliveries.clone()
    }

    /// Waits until nothing is under way to an endpoint. `false`: the patience ran out.
    pub async fn deliveries_idle(&self, patience: Duration) -> bool {
        let mut busy = self.app.world().webhooks.busy();
        let idle = tokio::time::timeout(patience, busy.wait_for(|count| *count == 0)).await;
        matches!(idle, Ok(Ok(_)))
    }

    /// All events, oldest first.
    pub fn events(&self) -> Vec<EventView> {
        self.look(|world| world.events.iter().map(EventView::from).collect())
    }

    /// One event.
    pub fn event(&self, id: &str) -> Option<EventView> {
        self.look(|world| world.events.get(id).map(EventView::from))
    }

    /// An event as an endpoint of this version gets it.
    pub fn event_json(&self, id: &str, version: &ApiVersion) -> Option<Value> {
        self.look(|world| world.events.get(id).map(|event| event.render(version)))
    }

    /// The present second of the sandbox clock.
    pub fn now(&self) -> i64 {
        self.app.world().now()
    }

    /// Moves the clock forward; what is due happens at once.
    pub fn advance(&self, by: Duration) {
        let seconds = i64::try_from(by.as_secs()).unwrap_or(i64::MAX);
        let mut world = self.app.world();
        world.clock.advance(seconds);
        world.tick();
        world.moved.notify_waiters();
    }

    /// Moves the clock to a second that is not in its past.
    pub fn set_unix(&self, second: i64) -> Result<(), Refusal> {
        let ahead = second - self.now();
        let Ok(ahead) = u64::try_from(ahead) else {
            return Err(Refusal::invalid("The clock does not go back.").param("set_unix"));
        };
        self.advance(Duration::from_secs(ahead));
        Ok(())
    }

    /// Arms a fault.
    pub fn inject(&self, fault: impl Into<Fault>) -> FaultId {
        self.app.world().faults.inject(fault.into())
    }

    /// How many calls a fault has struck.
    pub fn fired(&self, id: FaultId) -> u64 {
        self.app.world().faults.fired(id) as u64
    }

    /// How many late works of a fault have been done.
    pub fn landed(&self, id: FaultId) -> usize {
        self.app.world().faults.landings(id)
    }

    /// Ends the waits of the calls that a fault holds now; late work begins. The fault goes on.
    pub fn release_fault(&self, id: FaultId) {
        self.app.world().faults.release(id);
    }

    /// Disarms one fault and ends the waits of its calls; late work keeps its time.
    pub fn remove_fault(&self, id: FaultId) {
        self.app.world().faults.remove(id);
    }

    /// Disarms all faults, closes the calls that hang and lets the delayed ones go on; late work
    /// keeps its time.
    pub fn clear_faults(&self) {
        self.app.world().faults.clear();
    }

    fn look<T>(&self, read: impl FnOnce(&mut World) -> T) -> T {
        let mut world = self.app.world();
        world.tick();
        read(&mut world)
    }

    fn on_session(
        &self,
        id: &str,
        act: impl FnOnce(&mut World) -> Result<(), Refusal>,
    ) -> Result<SessionView, Refusal> {
        self.look(|world| {
            act(world)?;
            world.sessions.find(id).map(SessionView::from)
        })
    }

    fn on_subscription(
        &self,
        id: &str,
        act: impl FnOnce(&mut World) -> Result<(), Refusal>,
    ) -> Result<SubscriptionView, Refusal> {
        self.look(|world| {
            act(world)?;
            world.subscriptions.find(id).map(SubscriptionView::from)
        })
    }
}

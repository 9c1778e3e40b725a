//! Customers: they buy, walk away, change their mind, click twice; and Stripe tells of it
//! late, twice, or never.

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use rand::{Rng, SeedableRng, rngs::StdRng, seq::IndexedRandom};
use spawnpoint::rpc::proto::{
    self, order_service_client::OrderServiceClient,
    provisioning_service_client::ProvisioningServiceClient,
};
use tokio_util::sync::CancellationToken;
use tonic::{Request, Status, transport::Channel};
use uuid::Uuid;

use super::tally::Tally;
use crate::{
    stripe::{Controls, PayMode, SubscriptionStatus},
    world::{SHOP_ORIGIN, Tokens},
};

/// Plans with prices, small enough for many.
const PLANS: [&str; 3] = ["mc-2gb", "mc-4gb", "rust-3gb"];
const REGIONS: [&str; 2] = ["us-east", "us-west"];
/// A call that takes longer is given up, and made again.
const CALL: Duration = Duration::from_secs(5);
/// How long a customer waits for the server before going on.
const PATIENCE: Duration = Duration::from_secs(20);
/// Between two looks at the order's page.
const LOOK: Duration = Duration::from_millis(500);

/// What all customers share.
pub(super) struct Market {
    pub channel: Channel,
    pub tokens: Tokens,
    pub stripe: Controls,
    pub tally: Tally,
    /// Every customer of this run.
    pub users: Vec<Uuid>,
}

impl Market {
    /// Buys until told to stop, by choices of its own.
    pub(super) async fn shop(self: Arc<Self>, seed: u64, cancel: CancellationToken) {
        let mut rng = StdRng::seed_from_u64(seed);
        while !cancel.is_cancelled() {
            self.visit(&mut rng).await;
            let pause = Duration::from_millis(rng.random_range(100..1_800));
            tokio::select! {
                () = cancel.cancelled() => return,
                () = tokio::time::sleep(pause) => {}
            }
        }
    }

    async fn visit(&self, rng: &mut StdRng) {
        match rng.random_range(0..100) {
            0..60 => self.purchase(rng, true).await,
            60..72 => self.purchase(rng, false).await,
            72..82 => self.cancel(rng),
            82..92 => self.tell_again(rng),
            _ => self.wake(rng).await,
        }
    }

    /// Checks out, sometimes with two clicks at once, and pays or walks away.
    async fn purchase(&self, rng: &mut StdRng, pays: bool) {
        let Some(cart) = self.cart(rng) else { return };
        self.tally.count("checkouts");
        let order = if rng.random_bool(0.2) {
            self.tally.count("double clicks");
            let (first, second) =
                tokio::join!(self.checkout(cart.clone()), self.checkout(cart.clone()));
            first.or(second)
        } else {
            self.checkout(cart.clone()).await
        };
        let order = match order {
            Some(order) => order,
            // The page said that something went wrong: the customer tries once more.
            None => match self.checkout(cart).await {
                Some(order) => order,
                None => {
                    self.tally.count("checkouts given up");
                    return;
                }
            },
        };
        let session = order.stripe_checkout_session_id.clone();
        if !pays {
            self.tally.count("walk-aways");
            // Most pages just stay open; some are ended.
            if rng.random_bool(0.7) {
                let _ = self.stripe.expire(&session);
            }
            return;
        }
        let mode = if rng.random_bool(0.05) {
            PayMode::NoPaymentRequired
        } else {
            PayMode::Paid
        };
        // Refused where the page is over already: another click of the same customer.
        if let Ok(paid) = self.stripe.pay(&session, mode) {
            self.tally.count("purchases");
            if rng.random_bool(0.15) {
                // Regretted at once: the server may not be made yet.
                tokio::time::sleep(Duration::from_millis(rng.random_range(0..1_500))).await;
                self.end(paid.subscription.as_deref());
            } else if self.served(&order.id, &order.user_id).await {
                self.tally.count("served at once");
            }
        }
    }

    /// Looks at the order's page until its server runs, or until patience ends. So a slow
    /// shop has slow customers, and what they wait for does not pile up for ever.
    async fn served(&self, order_id: &str, user_id: &str) -> bool {
        let mut client = OrderServiceClient::new(self.channel.clone());
        let began = Instant::now();
        while began.elapsed() < PATIENCE {
            let message = proto::GetOrderRequest {
                order_id: order_id.to_owned(),
            };
            let request = bearer(message, &self.tokens.storefront, Some(user_id));
            let order = client.get_order(request).await;
            let order = order.ok().and_then(|answer| answer.into_inner().order);
            if order.is_some_and(|order| order.server_state() == proto::ServerState::Running) {
                return true;
            }
            tokio::time::sleep(LOOK).await;
        }
        false
    }

    fn end(&self, subscription: Option<&str>) {
        let Some(subscription) = subscription else {
            return;
        };
        if self.stripe.cancel_subscription(subscription).is_ok() {
            self.tally.count("cancels");
        }
    }

    /// Ends some subscription.
    fn cancel(&self, rng: &mut StdRng) {
        let live: Vec<String> = self
            .stripe
            .subscriptions()
            .into_iter()
            .filter(|subscription| subscription.status == SubscriptionStatus::Active)
            .map(|subscription| subscription.id)
            .collect();
        self.end(live.choose(rng).map(String::as_str));
    }

    /// Stripe tells of something old once more.
    fn tell_again(&self, rng: &mut StdRng) {
        let events = self.stripe.events();
        if let Some(event) = events.choose(rng)
            && self.stripe.deliver(&event.id).is_ok()
        {
            self.tally.count("duplicate events");
        }
    }

    /// An operator has a parked order tried again, with the button pressed twice.
    async fn wake(&self, rng: &mut StdRng) {
        for order in self.parked().await.unwrap_or_default() {
            let message = proto::ProvisionOrderRequest {
                order_id: order.id,
                request_id: Uuid::from_u128(rng.random()).to_string(),
            };
            let client = ProvisioningServiceClient::new(self.channel.clone());
            let press = |mut client: ProvisioningServiceClient<Channel>| {
                let request = bearer(message.clone(), &self.tokens.operator, None);
                async move { client.provision_order(request).await }
            };
            let (first, second) = tokio::join!(press(client.clone()), press(client));
            if first.is_ok() || second.is_ok() {
                self.tally.count("wakes");
            }
        }
    }

    /// Orders that wait for a person.
    pub(super) async fn parked(&self) -> Result<Vec<proto::Order>, Status> {
        let message = proto::ListOrdersRequest {
            status: proto::OrderStatus::Error.into(),
            page_size: 100,
            ..Default::default()
        };
        let request = bearer(message, &self.tokens.operator, None);
        let mut client = OrderServiceClient::new(self.channel.clone());
        Ok(client.list_orders(request).await?.into_inner().orders)
    }

    fn cart(&self, rng: &mut StdRng) -> Option<proto::CreateCheckoutSessionRequest> {
        let user = *self.users.choose(rng)?;
        Some(proto::CreateCheckoutSessionRequest {
            request_id: Uuid::from_u128(rng.random()).to_string(),
            user_id: user.to_string(),
            email: format!("{}@players.example", user.simple()),
            email_verified: true,
            first_name: "Alex".to_owned(),
            last_name: "Miner".to_owned(),
            plan_id: (*PLANS.choose(rng)?).to_owned(),
            item_type: proto::ItemType::Game.into(),
            term: proto::Term::Monthly.into(),
            region: (*REGIONS.choose(rng)?).to_owned(),
            // Two carts of one user are the same order only by chance.
            server_name: format!("World {}", rng.random_range(0..1_000)),
            success_url: format!("{SHOP_ORIGIN}/thanks"),
            cancel_url: format!("{SHOP_ORIGIN}/cart"),
            ..Default::default()
        })
    }

    async fn checkout(&self, cart: proto::CreateCheckoutSessionRequest) -> Option<proto::Order> {
        let user = cart.user_id.clone();
        let request = bearer(cart, &self.tokens.storefront, Some(&user));
        let mut client = OrderServiceClient::new(self.channel.clone());
        let answer = client.create_checkout_session(request).await.ok()?;
        let order = answer.into_inner().order?;
        (!order.stripe_checkout_session_id.is_empty()).then_some(order)
    }
}

/// A call with a token, on behalf of a user where one is named.
pub(super) fn bearer<T>(message: T, token: &str, user: Option<&str>) -> Request<T> {
    let mut request = Request::new(message);
    request.set_timeout(CALL);
    let bearer = format!("Bearer {token}").parse();
    if let Ok(bearer) = bearer {
        request.metadata_mut().insert("authorization", bearer);
    }
    if let Some(user) = user.and_then(|user| user.parse().ok()) {
        request.metadata_mut().insert("x-spawnpoint-user", user);
    }
    request
}

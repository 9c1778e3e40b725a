//! The demo: buys a server as a storefront would, and shows each step as it happens.

use std::{
    io::Write,
    time::{Duration, Instant},
};

use spawnpoint::rpc::proto::{
    self, catalog_service_client::CatalogServiceClient, order_service_client::OrderServiceClient,
    provisioning_service_client::ProvisioningServiceClient,
};
use tonic::{Code, Request, transport::Channel};
use uuid::Uuid;

use crate::world::{Error, SHOP_ORIGIN, World};

/// What is bought.
const PLAN: &str = "mc-2gb";
const REGION: &str = "us-east";
/// A purchase that takes longer has failed.
const PATIENCE: Duration = Duration::from_secs(120);

/// Lines with the time since the start.
pub struct Story {
    began: Instant,
    silent: bool,
}

impl Default for Story {
    fn default() -> Self {
        Self {
            began: Instant::now(),
            silent: false,
        }
    }
}

impl Story {
    /// Tells nothing.
    pub fn silent() -> Self {
        Self {
            silent: true,
            ..Self::default()
        }
    }

    /// Tells a step.
    pub fn tell(&self, text: &str) {
        self.line(&format!(
            "{:8.3} s  {text}",
            self.began.elapsed().as_secs_f64()
        ));
    }

    /// Writes a line as it is.
    pub fn line(&self, text: &str) {
        if self.silent {
            return;
        }
        // A closed pipe is no reason to fail.
        let _ = writeln!(std::io::stdout().lock(), "{text}");
    }
}

/// One purchase from cart to running server.
pub struct Purchase<'a> {
    pub(crate) world: &'a World,
    pub(crate) story: &'a Story,
    pub(crate) channel: Channel,
    user: Uuid,
}

impl<'a> Purchase<'a> {
    /// A storefront with a customer at its counter.
    pub async fn new(world: &'a World, story: &'a Story) -> Result<Self, Error> {
        let endpoint = format!("http://{}", world.grpc_addr);
        let channel = Channel::from_shared(endpoint)?.connect().await?;
        Ok(Self {
            world,
            story,
            channel,
            user: Uuid::new_v4(),
        })
    }

    pub(crate) fn request<T>(&self, message: T) -> Result<Request<T>, Error> {
        let mut request = Request::new(message);
        let bearer = format!("Bearer {}", self.world.tokens.storefront);
        request
            .metadata_mut()
            .insert("authorization", bearer.parse()?);
        request
            .metadata_mut()
            .insert("x-spawnpoint-user", self.user.to_string().parse()?);
        Ok(request)
    }

    /// Waits until the shop has read eggs and ports of its panel.
    pub async fn wait_for_sales(&self) -> Result<(), Error> {
        let mut catalog = CatalogServiceClient::new(self.channel.clone());
        let deadline = Instant::now() + PATIENCE;
        loop {
            let message = proto::CheckAvailabilityRequest {
                plan_id: PLAN.to_owned(),
                addon_ids: Vec::new(),
                region: REGION.to_owned(),
            };
            let asked = catalog.check_availability(self.request(message)?).await;
            let answer = match asked {
                Ok(answer) => answer.into_inner(),
                // A machine that has much else to do may need more than one call's time.
                Err(late) if late.code() == Code::DeadlineExceeded && Instant::now() < deadline => {
                    continue;
                }
                Err(refused) => return Err(refused.into()),
            };
            match answer.availability.first() {
                Some(found) if found.available => {
                    self.story.tell(&format!(
                        "eggs and ports are known: {} x {PLAN} fit in {REGION}",
                        found.remaining
                    ));
                    return Ok(());
                }
                found if Instant::now() > deadline => {
                    let reason = found.map_or("", |found| found.reason.as_str());
                    return Err(format!("nothing can be sold: {reason}").into());
                }
                _ => tokio::time::sleep(Duration::from_millis(50)).await,
            }
        }
    }

    /// Puts the plan into the cart and opens the checkout.
    pub async fn checkout(&self) -> Result<(proto::Order, String), Error> {
        let message = proto::CreateCheckoutSessionRequest {
            request_id: Uuid::new_v4().to_string(),
            user_id: self.user.to_string(),
            email: format!(
                "steve-{}@players.example",
                &self.user.simple().to_string()[..8]
            ),
            email_verified: true,
            first_name: "Steve".to_owned(),
            last_name: "Miner".to_owned(),
            plan_id: PLAN.to_owned(),
            item_type: proto::ItemType::Game as i32,
            term: proto::Term::Monthly as i32,
            region: REGION.to_owned(),
            server_name: "Steve's world".to_owned(),
            success_url: format!("{SHOP_ORIGIN}/thanks?session={{CHECKOUT_SESSION_ID}}"),
            cancel_url: format!("{SHOP_ORIGIN}/cart"),
            ..proto::CreateCheckoutSessionRequest::default()
        };
        let mut orders = OrderServiceClient::new(self.channel.clone());
        let answer = orders
            .create_checkout_session(self.request(message)?)
            .await?
            .into_inner();
        let order = answer.order.ok_or("the checkout made no order")?;
        Ok((order, answer.checkout_url))
    }

    /// Pays on Stripe's hosted page, as a browser would.
    pub async fn pay(&self, checkout_url: &str) -> Result<(), Error> {
        let client = reqwest::Client::builder()
            .redirect(reqwest::redirect::Policy::none())
            .build()?;
        let answer = client
            .post(format!("{checkout_url}/pay"))
            .form(&[("method", "card")])
            .send()
            .await?;
        let to = answer
            .headers()
            .get("location")
            .and_then(|value| value.to_str().ok());
        match (answer.status().as_u16(), to) {
            (303, Some(to)) => {
                self.story
                    .tell(&format!("paid; Stripe sends the customer to {to}"));
                Ok(())
            }
            (status, _) => Err(format!("the payment page answered {status}").into()),
        }
    }

    /// Follows the order until its server runs, telling each change.
    pub async fn follow(&self, order_id: &str, patience: Duration) -> Result<(), Error> {
        let followed = self.follow_to(order_id, patience, |order| {
            match (order.status(), order.server_state()) {
                (proto::OrderStatus::Provisioned, proto::ServerState::Running) => Some(Ok(())),
                (proto::OrderStatus::Error | proto::OrderStatus::Canceled, _) => {
                    Some(Err(format!("the order ended as {}", describe(order)).into()))
                }
                _ => None,
            }
        });
        followed.await
    }

    /// Follows the order until it is as wanted, telling each change.
    pub(crate) async fn follow_to(
        &self,
        order_id: &str,
        patience: Duration,
        ended: impl Fn(&proto::Order) -> Option<Result<(), Error>>,
    ) -> Result<(), Error> {
        let mut orders = OrderServiceClient::new(self.channel.clone());
        let message = proto::WatchOrderRequest {
            order_id: order_id.to_owned(),
        };
        let mut changes = orders
            .watch_order(self.request(message)?)
            .await?
            .into_inner();
        let mut shown = String::new();
        let following = async {
            while let Some(change) = changes.message().await? {
                let Some(order) = change.order else { continue };
                let state = describe(&order);
                if state != shown {
                    self.story.tell(&state);
                    shown = state;
                }
                if let Some(ended) = ended(&order) {
                    return ended;
                }
            }
            Err(Error::from("the order's changes ended early"))
        };
        match tokio::time::timeout(patience, following).await {
            Ok(followed) => followed,
            Err(_) => Err(format!("not so far after {} s", patience.as_secs()).into()),
        }
    }

    /// The server as Spawnpoint tells of it, compared with the panel's own word.
    pub async fn inspect(&self, order_id: &str) -> Result<proto::Server, Error> {
        let mut provisioning = ProvisioningServiceClient::new(self.channel.clone());
        let message = proto::GetServerRequest {
            order_id: order_id.to_owned(),
        };
        let answer = provisioning
            .get_server(self.request(message)?)
            .await?
            .into_inner();
        let server = answer.server.ok_or("GetServer told of no server")?;
        let on_panel = self
            .world
            .panel
            .server(order_id)
            .ok_or("the panel has no such server")?;
        let owner = self
            .world
            .panel
            .users()
            .into_iter()
            .find(|user| user.id == on_panel.user);
        let port = server.ports.first().map(|port| i64::from(port.port));
        let checks = [
            (
                "state",
                server.state() == proto::ServerState::Running && on_panel.status.is_none(),
            ),
            ("id", server.pterodactyl_server_id == on_panel.id),
            ("memory", i64::from(server.ram_mb) == on_panel.memory),
            (
                "port",
                port.is_some() && port == on_panel.port.map(i64::from),
            ),
            (
                "owner",
                owner.is_some_and(|owner| {
                    owner.username == server.panel_username
                        && owner.external_id == Some(self.user.to_string())
                }),
            ),
        ];
        let wrong: Vec<&str> = checks
            .into_iter()
            .filter(|(_, same)| !same)
            .map(|(name, _)| name)
            .collect();
        if wrong.is_empty() {
            self.story
                .tell("the panel agrees: same id, port, memory and owner");
            Ok(server)
        } else {
            Err(format!("Spawnpoint and the panel disagree on: {}", wrong.join(", ")).into())
        }
    }
}

fn describe(order: &proto::Order) -> String {
    let word = |name: &str, prefix: &str| name.trim_start_matches(prefix).to_lowercase();
    let status = word(order.status().as_str_name(), "ORDER_STATUS_");
    let server = word(order.server_state().as_str_name(), "SERVER_STATE_");
    let mut text = format!("order is {status}, server {server}");
    for reason in order.suspension_reasons() {
        let reason = word(reason.as_str_name(), "SUSPENSION_REASON_");
        text.push_str(&format!(" (by {reason})"));
    }
    if !order.subscription_status.is_empty() {
        text.push_str(&format!(", subscription {}", order.subscription_status));
    }
    if order.cancel_time.is_some() {
        text.push_str(", to be ended");
    }
    if !order.waiting_reason.is_empty() {
        text.push_str(&format!(", waits for {}", order.waiting_reason));
    }
    if !order.error_reason.is_empty() {
        text.push_str(&format!(
            ", {}: {}",
            order.error_reason, order.error_message
        ));
    }
    text
}

/// Buys one server, from cart to a second look at the panel. Tells which order it was.
pub async fn buy(purchase: &Purchase<'_>) -> Result<String, Error> {
    let (world, story) = (purchase.world, purchase.story);
    purchase.wait_for_sales().await?;
    let (order, url) = purchase.checkout().await?;
    story.tell(&format!(
        "order {} holds room and a port on node {}",
        order.id, order.node_id
    ));
    story.tell(&format!("checkout page: {url}"));
    let paid = Instant::now();
    tokio::try_join!(purchase.pay(&url), purchase.follow(&order.id, PATIENCE))?;
    let took = paid.elapsed();
    for delivery in world.stripe.deliveries() {
        story.tell(&format!(
            "webhook {} was answered {}",
            delivery.event_id, delivery.status
        ));
    }
    let server = purchase.inspect(&order.id).await?;
    story.tell(&format!(
        "{} runs at {} ({} MiB, {} % CPU, {} MiB disk); log in at {} as {}",
        server.name,
        server.address,
        server.ram_mb,
        server.cpu_percent,
        server.disk_mb,
        server.panel_url,
        server.panel_username
    ));
    let creates = world.panel.count_route("POST", "/servers");
    if creates != 1 {
        return Err(format!("the panel was asked for {creates} servers instead of one").into());
    }
    story.line(&format!(
        "\n{}\nfrom payment to running server: {:.2} s",
        server.address,
        took.as_secs_f64()
    ));
    Ok(order.id)
}

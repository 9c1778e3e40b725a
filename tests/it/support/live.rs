//! A whole shop on loopback for end-to-end tests: the real services through a real
//! client, the real gateway, and both stand-ins.

use std::time::Duration;

use sandbox::world::{Options, SHOP_ORIGIN, World};
use spawnpoint::rpc::proto::{
    self, catalog_service_client::CatalogServiceClient, order_service_client::OrderServiceClient,
    provisioning_service_client::ProvisioningServiceClient,
};
use tonic::{Request, Status, transport::Channel};
use uuid::Uuid;

use super::{
    audited::MustClose,
    db::{Engine, TestDb},
    log_watch::LogWatch,
    wait,
};

/// Long enough for a busy machine, short enough to fail.
pub const PATIENCE: Duration = Duration::from_secs(60);

/// Requests per minute that the panel grants. Its 240 are for sweeps every minute or so; here
/// they come several times a second, and orders would wait for what those use up.
const PANEL_RATE: u32 = 100_000;

/// Calls give up after a second, as they do after 40 in production; all else to scale.
pub const IMPATIENT: [(&str, &str); 3] = [
    ("CALL_TIMEOUT_SECONDS", "1"),
    ("LEASE_MARGIN_SECONDS", "0.5"),
    ("LEASE_SECONDS", "6"),
];

/// The shop, open.
pub struct Live {
    pub world: World,
    /// The store, opened a second time: for looking, and for moving nothing.
    pub store: TestDb,
    channel: Channel,
    pub(super) log_watch: LogWatch,
    pub(super) must_close: MustClose,
}

impl Live {
    /// The example shop on a fresh database, installs ending at once.
    pub async fn open(engine: Engine) -> Self {
        Self::open_with(engine, |_| {}).await
    }

    /// As [`Live::open`], with other options or variables.
    pub async fn open_with(engine: Engine, change: impl FnOnce(&mut Options)) -> Self {
        let live = Self::open_unready(engine, change).await;
        live.wait_until_sellable().await;
        live
    }

    /// As [`Live::open`], with [`IMPATIENT`] and further variables.
    pub async fn open_impatient(engine: Engine, further: &[(&str, &str)]) -> Self {
        Self::open_with(engine, |options| {
            options.set_all(&IMPATIENT);
            options.set_all(further);
        })
        .await
    }

    /// As [`Live::open_with`], but without waiting until it sells.
    pub async fn open_unready(engine: Engine, change: impl FnOnce(&mut Options)) -> Self {
        Self::open_on(TestDb::new(engine).await, change).await
    }

    /// As [`Live::open_unready`], on this database.
    pub async fn open_on(store: TestDb, change: impl FnOnce(&mut Options)) -> Self {
        let _ = rustls::crypto::ring::default_provider().install_default();
        let log_watch = LogWatch::begin();
        let mut options = Options::quick(store.url.clone());
        options.install = Duration::from_millis(50);
        options.set_all(&[
            ("SWEEP_INSTALL_SECONDS", "0.2"),
            // What no webhook brought is found only where a test wants that.
            ("SWEEP_EVENTS_SECONDS", "2592000"),
            ("SWEEP_SUBSCRIPTIONS_SECONDS", "2592000"),
            ("SWEEP_SERVERS_SECONDS", "2592000"),
            ("SWEEP_CHARGES_SECONDS", "1"),
            ("SWEEP_PORTS_SECONDS", "0.5"),
            ("SWEEP_PROFILES_SECONDS", "1"),
            ("SETTLE_SECONDS", "1"),
            ("RETRY_SECONDS", "0.3"),
        ]);
        change(&mut options);
        let world = World::open(&options).await.unwrap();
        world.panel.set_rate_limit(PANEL_RATE);
        let endpoint = Channel::from_shared(format!("http://{}", world.grpc_addr)).unwrap();
        let channel = endpoint.connect_lazy();
        Self {
            world,
            store,
            channel,
            log_watch,
            must_close: MustClose::new(),
        }
    }

    pub fn catalog(&self) -> CatalogServiceClient<Channel> {
        CatalogServiceClient::new(self.channel.clone())
    }

    pub fn orders(&self) -> OrderServiceClient<Channel> {
        OrderServiceClient::new(self.channel.clone())
    }

    pub fn provisioning(&self) -> ProvisioningServiceClient<Channel> {
        ProvisioningServiceClient::new(self.channel.clone())
    }

    /// A channel with a connection of its own.
    pub fn new_channel(&self) -> Channel {
        let endpoint = Channel::from_shared(format!("http://{}", self.world.grpc_addr)).unwrap();
        endpoint.connect_lazy()
    }

    /// The raw channel, for calls by path.
    pub fn channel(&self) -> Channel {
        self.channel.clone()
    }

    pub fn operator<T>(&self, message: T) -> Request<T> {
        with_token(message, &self.world.tokens.operator)
    }

    pub fn viewer<T>(&self, message: T) -> Request<T> {
        with_token(message, &self.world.tokens.viewer)
    }

    pub fn storefront<T>(&self, message: T, user: Uuid) -> Request<T> {
        let mut request = with_token(message, &self.world.tokens.storefront);
        let user = user.to_string().parse().unwrap();
        request.metadata_mut().insert("x-spawnpoint-user", user);
        request
    }

    /// Waits until the default cart fits in every region.
    pub async fn wait_until_sellable(&self) {
        wait::until("the shop sells", PATIENCE, || async {
            let message = proto::CheckAvailabilityRequest {
                plan_id: "mc-2gb".to_owned(),
                ..proto::CheckAvailabilityRequest::default()
            };
            let answer = self
                .catalog()
                .check_availability(self.operator(message))
                .await
                .unwrap();
            answer
                .into_inner()
                .availability
                .iter()
                .all(|found| found.available)
        })
        .await;
    }

    /// Sends a cart as the storefront would, on behalf of its user.
    pub async fn checkout(
        &self,
        cart: proto::CreateCheckoutSessionRequest,
    ) -> Result<proto::CreateCheckoutSessionResponse, Status> {
        let user = cart.user_id.parse().unwrap_or_default();
        let answer = self
            .orders()
            .create_checkout_session(self.storefront(cart, user))
            .await?;
        Ok(answer.into_inner())
    }

    /// An order as it is now.
    pub async fn order(&self, order_id: &str) -> proto::Order {
        let message = proto::GetOrderRequest {
            order_id: order_id.to_owned(),
        };
        let answer = self
            .orders()
            .get_order(self.operator(message))
            .await
            .unwrap();
        answer.into_inner().order.unwrap()
    }

    /// Waits until an order satisfies the condition, and returns it.
    pub async fn wait_order(
        &self,
        order_id: &str,
        what: &str,
        holds: impl Fn(&proto::Order) -> bool,
    ) -> proto::Order {
        let holds = &holds;
        // The very one that does: a moment later it may be further on.
        wait::until_ok(what, PATIENCE, || async move {
            let order = self.order(order_id).await;
            if holds(&order) { Ok(order) } else { Err(order) }
        })
        .await
    }

    /// Waits until the order's server runs.
    pub async fn wait_running(&self, order_id: &str) -> proto::Order {
        self.wait_order(order_id, "the server runs", |order| {
            order.status() == proto::OrderStatus::Provisioned
                && order.server_state() == proto::ServerState::Running
        })
        .await
    }

    /// Buys and pays the default cart and waits until its server runs.
    pub async fn buy(&self, user: Uuid) -> proto::Order {
        let order = self.checkout(cart(user)).await.unwrap().order.unwrap();
        self.pay(&order);
        self.wait_running(&order.id).await
    }

    /// Pays an order's session at the Stripe stand-in.
    pub fn pay(&self, order: &proto::Order) {
        let session = &order.stripe_checkout_session_id;
        self.world
            .stripe
            .pay(session, sandbox::stripe::PayMode::Paid)
            .unwrap();
    }
}

/// `mc-2gb`, monthly, in us-east, with a fresh request id.
pub fn cart(user: Uuid) -> proto::CreateCheckoutSessionRequest {
    proto::CreateCheckoutSessionRequest {
        request_id: Uuid::new_v4().to_string(),
        user_id: user.to_string(),
        email: format!("{}@players.example", user.simple()),
        email_verified: true,
        first_name: "Alex".to_owned(),
        last_name: "Miner".to_owned(),
        plan_id: "mc-2gb".to_owned(),
        item_type: proto::ItemType::Game as i32,
        term: proto::Term::Monthly as i32,
        region: "us-east".to_owned(),
        server_name: "Alex's world".to_owned(),
        success_url: format!("{SHOP_ORIGIN}/thanks"),
        cancel_url: format!("{SHOP_ORIGIN}/cart"),
        ..proto::CreateCheckoutSessionRequest::default()
    }
}

/// A message with a bearer token.
pub fn with_token<T>(message: T, token: &str) -> Request<T> {
    let mut request = Request::new(message);
    let bearer = format!("Bearer {token}").parse().unwrap();
    request.metadata_mut().insert("authorization", bearer);
    request
}

/// The reason of a refusal, from its ErrorInfo.
pub fn reason(status: &Status) -> String {
    use tonic_types::StatusExt;
    status
        .get_details_error_info()
        .map(|info| info.reason)
        .unwrap_or_default()
}

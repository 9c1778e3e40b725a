//! What has to happen in a shop for each kind of step to be taken, and how it must end.

use std::time::Duration;

use sandbox::{
    panel::{Fault, FaultAction},
    stripe::{self, SubscriptionStatus},
};
use spawnpoint::{
    domain::{OrderId, step::StepKind},
    rpc::proto,
};
use uuid::Uuid;

use super::shop::LoopShop;
use crate::support::{
    changes,
    live::{cart, reason},
    till,
};

/// Twice the plan that is bought in all scenes.
const LARGER: &str = "mc-4gb";
const LARGER_MB: i64 = 4096;
const NEW_NAME: &str = "Another world";
/// Longer than any test.
const LONG_INSTALL: Duration = Duration::from_secs(600);
const REINSTALL: &str = "/servers/{server}/reinstall";
/// Of a second install.
const AN_INSTALL: Duration = Duration::from_millis(1_100);
/// How long a server that is not paid for is kept.
const RETENTION: Duration = Duration::from_secs(7 * 24 * 3600);
/// The worker leaves a new order to the call that made it for a little less.
const CALL_GOES_FIRST: Duration = Duration::from_secs(16);

/// A customer's story.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Scene {
    /// Stripe is away at checkout; the worker opens the session, and it is paid.
    OpenedLater,
    /// Bought and paid.
    Bought,
    /// The panel makes the server and its answer is lost.
    Unanswered,
    /// The first install fails.
    InstallFails,
    /// The subscription ends during the install.
    CanceledInstalling,
    /// A renewal is not paid, and Stripe gives up.
    Lapsed,
    /// The same, and it is paid after all.
    PaidAfterAll,
    /// The same, and it is never paid.
    GoneForGood,
    /// A customer ends the order with its period.
    EndPlanned,
    /// A customer takes a larger plan.
    PlanChanged,
    /// A customer gives the server another name.
    Renamed,
    /// A customer has the server installed again.
    Reinstalled,
    /// A second session of the order is paid as well.
    PaidTwice,
    /// Nobody pays.
    WalkedAway,
}

impl Scene {
    /// The scene in which a kind of step is taken.
    pub fn of(kind: StepKind) -> Self {
        match kind {
            StepKind::OpenSession => Self::OpenedLater,
            StepKind::SyncBilling
            | StepKind::EnsureOwner
            | StepKind::Place
            | StepKind::CreateServer => Self::Bought,
            StepKind::SettleCreate => Self::Unanswered,
            StepKind::RetryInstall => Self::InstallFails,
            StepKind::Suspend => Self::Lapsed,
            StepKind::Unsuspend => Self::PaidAfterAll,
            StepKind::CancelSubscription => Self::GoneForGood,
            StepKind::PlanEnd => Self::EndPlanned,
            StepKind::ChangePlan => Self::PlanChanged,
            StepKind::ApplySpec => Self::Renamed,
            StepKind::Reinstall => Self::Reinstalled,
            StepKind::Delete => Self::CanceledInstalling,
            StepKind::Release => Self::WalkedAway,
            StepKind::Refund => Self::PaidTwice,
        }
    }

    /// Whether a server is there in the end.
    pub fn delivers(self) -> bool {
        !matches!(
            self,
            Self::CanceledInstalling | Self::GoneForGood | Self::WalkedAway
        )
    }

    /// Whether the clock is moved by days in it.
    pub fn takes_days(self) -> bool {
        self == Self::GoneForGood
    }

    /// Status and server state in the end.
    pub fn wanted(self) -> (proto::OrderStatus, proto::ServerState) {
        use proto::{OrderStatus, ServerState};
        match self {
            Self::Lapsed => (OrderStatus::Provisioned, ServerState::Suspended),
            Self::WalkedAway => (OrderStatus::Canceled, ServerState::None),
            _ if self.delivers() => (OrderStatus::Provisioned, ServerState::Running),
            _ => (OrderStatus::Canceled, ServerState::Deleted),
        }
    }

    /// Payments that go back.
    pub fn refunds(self) -> usize {
        usize::from(self == Self::PaidTwice)
    }

    /// Whether a server is ever made.
    pub fn creates(self) -> bool {
        self != Self::WalkedAway
    }
}

impl LoopShop {
    /// Plays the scene of a kind of step to its end and looks at what came of it. Tells
    /// which order it was.
    pub async fn play(&mut self, kind: StepKind) -> OrderId {
        let scene = Scene::of(kind);
        let user = Uuid::new_v4();
        let order = self.begin(scene, user).await;
        self.go_on(scene, &order).await;
        self.end(kind, user, &order).await;
        order.id.parse::<Uuid>().map(OrderId).unwrap()
    }

    /// What customer, Stripe and panel do first.
    async fn begin(&mut self, scene: Scene, user: Uuid) -> proto::Order {
        let install = match scene {
            Scene::CanceledInstalling => LONG_INSTALL,
            _ => Duration::from_millis(30),
        };
        self.live.world.panel.set_install_delay(install);
        let order = if scene == Scene::OpenedLater {
            self.checkout_without_stripe(user).await
        } else {
            self.live.reserve(cart(user)).await
        };
        let panel = &self.live.world.panel;
        match scene {
            Scene::OpenedLater
            | Scene::Bought
            | Scene::CanceledInstalling
            | Scene::Lapsed
            | Scene::PaidAfterAll
            | Scene::GoneForGood
            | Scene::EndPlanned
            | Scene::PlanChanged
            | Scene::Renamed
            | Scene::Reinstalled
            | Scene::PaidTwice => {}
            Scene::Unanswered => {
                let lost = Fault::on("POST", "/servers", FaultAction::Drop).after_work();
                self.lost_answer = Some(panel.inject(lost.times(1)));
            }
            Scene::InstallFails => panel.fail_next_installs(&order.id, 1),
            Scene::WalkedAway => {
                let session = &order.stripe_checkout_session_id;
                self.live.world.stripe.expire(session).unwrap();
                return order;
            }
        }
        self.live.pay(&order);
        order
    }

    /// What happens once the order has come so far.
    async fn go_on(&mut self, scene: Scene, order: &proto::Order) {
        match scene {
            Scene::CanceledInstalling => {
                self.until("it installs", &order.id, |order| {
                    order.waiting_reason == "INSTALLING"
                })
                .await;
                let subscription = self.live.subscription(order);
                let stripe = &self.live.world.stripe;
                stripe.cancel_subscription(&subscription).unwrap();
            }
            Scene::Lapsed | Scene::PaidAfterAll | Scene::GoneForGood => {
                self.until("it runs", &order.id, |order| {
                    order.server_state() == proto::ServerState::Running
                })
                .await;
                self.set_subscription(order, SubscriptionStatus::Unpaid);
                self.until("it stands still", &order.id, |order| {
                    order.server_state() == proto::ServerState::Suspended
                })
                .await;
            }
            Scene::EndPlanned => {
                self.until("it runs", &order.id, |order| {
                    order.server_state() == proto::ServerState::Running
                })
                .await;
                self.plan_end(order).await;
                self.until("its end is known", &order.id, |order| {
                    order.cancel_time.is_some()
                })
                .await;
            }
            Scene::PlanChanged => {
                self.until("it runs", &order.id, |order| {
                    order.server_state() == proto::ServerState::Running
                })
                .await;
                changes::ask(&self.live, &order.id, LARGER, &[])
                    .await
                    .unwrap();
                self.until("it is paid", &order.id, |order| order.plan_id == LARGER)
                    .await;
                self.until_server(order, |server| server.memory == LARGER_MB)
                    .await;
            }
            Scene::Renamed => {
                self.until("it runs", &order.id, |order| {
                    order.server_state() == proto::ServerState::Running
                })
                .await;
                changes::rename(&self.live, &order.id, NEW_NAME)
                    .await
                    .unwrap();
                self.until_server(order, |server| server.name == NEW_NAME)
                    .await;
            }
            Scene::Reinstalled => {
                self.until("it runs", &order.id, |order| {
                    order.server_state() == proto::ServerState::Running
                })
                .await;
                // The panel's clock has seconds: by it the end of this one has to differ.
                let panel = &self.live.world.panel;
                panel.set_install_delay(AN_INSTALL);
                let before = panel.succeeded_route("POST", REINSTALL);
                changes::reinstall(&self.live, &order.id).await.unwrap();
                self.until_reinstalled(order).await;
                let panel = &self.live.world.panel;
                let done = panel.succeeded_route("POST", REINSTALL) - before;
                assert_eq!(done, 1, "it may cost its customer's files each time");
            }
            Scene::PaidTwice => {
                self.until("it runs", &order.id, |order| {
                    order.server_state() == proto::ServerState::Running
                })
                .await;
                till::pay_again(&self.live, order).await;
                self.until_refunded(order).await;
            }
            _ => {}
        }
        match scene {
            Scene::PaidAfterAll => self.set_subscription(order, SubscriptionStatus::Active),
            Scene::GoneForGood => self.skip(RETENTION),
            _ => {}
        }
    }

    async fn plan_end(&self, order: &proto::Order) {
        let message = proto::CancelOrderRequest {
            order_id: order.id.clone(),
            at_period_end: true,
            ..proto::CancelOrderRequest::default()
        };
        let mut client = self.live.orders();
        let planned = client.cancel_order(self.live.operator(message)).await;
        planned.unwrap();
    }

    fn set_subscription(&self, order: &proto::Order, status: SubscriptionStatus) {
        let subscription = self.live.subscription(order);
        let stripe = &self.live.world.stripe;
        stripe
            .set_subscription_status(&subscription, status)
            .unwrap();
    }

    /// A checkout that Stripe does not answer: the order is there, its session is not.
    async fn checkout_without_stripe(&mut self, user: Uuid) -> proto::Order {
        let stripe = &self.live.world.stripe;
        let sessions = "/v1/checkout/sessions";
        let away = stripe::Fault::on("POST", sessions, stripe::Effect::DropBefore).always();
        let away = stripe.inject(away);
        let refused = self.live.checkout(cart(user)).await.unwrap_err();
        assert_eq!(reason(&refused), "STRIPE_UNAVAILABLE");
        assert!(stripe.fired(away) > 0);
        // The call was answered, but its process would still go on to open the session.
        self.restart().await;
        self.live.world.stripe.clear_faults();
        let order_id = self.only_order_of(user).await;
        self.skip(CALL_GOES_FIRST);
        self.until("the session is open", &order_id, |order| {
            !order.checkout_url.is_empty()
        })
        .await
    }
}

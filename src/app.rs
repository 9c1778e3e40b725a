//! What the shop does: every verb authorises, decides, commits.
//!
//! One file per noun, named as in `rpc/` and `db/`. Nothing here knows of gRPC
//! messages, SQL or HTTP.

use std::sync::Arc;

use tokio::sync::Mutex;
use uuid::Uuid;

use crate::{db::Db, domain::lenience::Lenience, panel::Panel, stripe::Stripe};

pub mod affiliates;
pub mod authorize;
pub mod catalog;
pub mod checkout;
pub mod error;
pub mod nodes;
pub mod nudge;
pub mod orders;
pub mod placement;
pub mod profiles;
pub mod requests;
pub mod servers;
pub mod stripe_events;
pub mod sweeps;
pub mod tokens;

pub use authorize::{Caller, Role, Scope};
pub use error::Error;
pub use nudge::Nudge;

/// Everything a verb needs: handles to the store and to what we do not own.
pub struct App {
    /// The store.
    pub db: Db,
    /// Stripe.
    pub stripe: Arc<dyn Stripe>,
    /// The panel, for work that a customer waits for.
    pub panel: Arc<dyn Panel>,
    /// The same panel, for work that can wait: it yields the rate budget.
    pub panel_housekeeping: Arc<dyn Panel>,
    /// Wakes the worker and the watchers.
    pub nudge: Nudge,
    /// Prices that Stripe has confirmed.
    pub prices: checkout::prices::PriceCache,
    /// Sessions that are being opened.
    pub openings: checkout::openings::Openings,
    /// The id of our settings for Stripe's page for customers, once it is known.
    pub portal_configuration: Mutex<Option<String>>,
    /// What the shop's owner chose.
    pub settings: Settings,
}

/// Choices of the shop's owner that the rules depend on.
#[derive(Clone, Debug)]
pub struct Settings {
    /// Origins (`https://shop.example`) that URLs of a checkout may point to.
    pub checkout_allowed_origins: Vec<String>,
    /// Where customers log in to the panel.
    pub panel_url: String,
    /// How nodes are chosen.
    pub placement: crate::domain::placement::Strategy,
    /// How long a checkout session may stay open; Stripe wants at least 30 minutes.
    pub hold_minutes: i64,
    /// `automatic_tax[enabled]` of a session.
    pub automatic_tax: bool,
    /// `allow_promotion_codes` of a session.
    pub promotion_codes: bool,
    /// `payment_method_types[]` of a session; empty leaves it to the dashboard.
    pub payment_methods: Vec<String>,
    /// What is done where a bank disputes a payment, and neither order nor plan says otherwise.
    pub disputes: crate::domain::dispute::DisputePolicy,
    /// What is done where somebody gave a payment back whole, at Stripe.
    pub refunded: crate::domain::dispute::RefundPolicy,
    /// When the steps of an order come due.
    pub timing: crate::domain::step::Timing,
    /// What affiliates get.
    pub affiliates: crate::domain::affiliate::Terms,
    /// Creates in flight over all replicas, in all and per node.
    pub max_creates: u32,
    /// As `max_creates`, for one node.
    pub max_creates_per_node: u32,
    /// After so long a server that withstands its deletion is deleted by force; none: never.
    pub force_delete_after_us: Option<i64>,
}

impl Settings {
    /// How lenient the shop is where a plan says nothing else.
    pub fn lenience(&self) -> Lenience {
        Lenience {
            patience: self.timing.patience,
            disputes: self.disputes,
        }
    }
}

impl App {
    /// A new id whose order follows the store's time.
    pub fn new_id(now_us: i64) -> Uuid {
        let millis = u64::try_from(now_us / 1000).unwrap_or_default();
        let random: [u8; 10] = rand::random();
        uuid::Builder::from_unix_timestamp_millis(millis, &random).into_uuid()
    }
}

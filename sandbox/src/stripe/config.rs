//! What a stand-in is started with.

use super::disputes::DisputedPayments;
use super::prices::PriceSpec;
use super::sessions::Promotion;
use super::version::ApiVersion;
use super::webhooks::delivery::DeliveryPolicy;

/// Settings of the account that is played.
#[derive(Clone)]
pub struct StripeConfig {
    /// The key callers must send; one with `_live_` makes every object livemode.
    pub secret_key: String,
    /// The account's own version: for calls without `Stripe-Version`, and for listed events.
    pub api_version: String,
    /// Where buyers reach the hosted page, if not at the address served.
    pub public_url: Option<String>,
    /// The catalogue at the start.
    pub prices: Vec<PriceSpec>,
    /// Codes and coupons that exist.
    pub promotions: Vec<Promotion>,
    /// Tax in hundredths of a percent, taken where `automatic_tax` is on.
    pub tax_basis_points: i64,
    /// Whether a delayed payment has its subscription (`incomplete`) before it settles.
    pub delayed_creates_subscription: bool,
    /// What happens to the subscription of a payment that a bank disputes.
    pub disputed_payments: DisputedPayments,
    /// Whether refusals that came from looking at objects (no such price, session not open)
    /// are kept under the idempotency key. Stripe's text leaves it open.
    pub store_state_refusals: bool,
    /// Unix second at which the clock starts; `None` for the machine's time.
    pub start_at: Option<i64>,
    /// Whether the clock only moves when it is told to.
    pub frozen: bool,
    /// Makes ids repeatable.
    pub seed: Option<u64>,
    /// How webhooks are sent.
    pub delivery: DeliveryPolicy,
}

impl Default for StripeConfig {
    fn default() -> Self {
        Self {
            secret_key: "sk_test_sandbox".to_owned(),
            api_version: ApiVersion::NEW.to_owned(),
            public_url: None,
            prices: Vec::new(),
            promotions: Vec::new(),
            tax_basis_points: 0,
            delayed_creates_subscription: false,
            disputed_payments: DisputedPayments::default(),
            store_state_refusals: false,
            start_at: None,
            frozen: false,
            seed: None,
            delivery: DeliveryPolicy::default(),
        }
    }
}

//! What the shop's owner chooses: how checkout looks, where servers go, how
//! patient billing is.

use std::time::Duration;

use url::{Position, Url};

use super::reader::Reader;
use crate::domain::{
    dispute::{DisputePolicy, RefundPolicy},
    lenience::{MAX_GRACE_DAYS, MAX_RETENTION_DAYS},
    placement::Strategy,
};

/// Choices of the shop's owner.
#[derive(Clone, Debug)]
pub struct Shop {
    /// Origins (`https://shop.example`) that a checkout may send a browser to; empty allows none.
    pub allowed_origins: Vec<String>,
    /// Whether Stripe computes taxes.
    pub automatic_tax: bool,
    /// Whether buyers may enter promotion codes.
    pub promotion_codes: bool,
    /// Payment methods; empty leaves them to Stripe's dashboard.
    pub payment_methods: Vec<String>,
    /// How nodes are chosen.
    pub placement: Strategy,
    /// How long room and ports are held for a buyer; Stripe's sessions last at least 30 minutes.
    pub hold_minutes: i64,
    /// Days that an unpaid server keeps running. This, the next and `disputes` are for what is sold
    /// from now on, by plans that say nothing else.
    pub grace_days: u32,
    /// Days that a suspended server is kept.
    pub retention_days: u32,
    /// What is done where a bank disputes a payment.
    pub disputes: DisputePolicy,
    /// What is done where somebody gave a payment back whole, at Stripe.
    pub refunded: RefundPolicy,
    /// How long a paid order may be without a server before it is canceled and its payment
    /// refunded; none: it waits until somebody acts.
    pub refund_unfulfillable_after: Option<Duration>,
}

impl Default for Shop {
    fn default() -> Self {
        Self {
            allowed_origins: Vec::new(),
            automatic_tax: false,
            promotion_codes: false,
            payment_methods: vec!["card".to_owned()],
            placement: Strategy::Spread,
            hold_minutes: 35,
            grace_days: 3,
            retention_days: 7,
            disputes: DisputePolicy::Suspend,
            refunded: RefundPolicy::End,
            refund_unfulfillable_after: None,
        }
    }
}

impl Shop {
    pub(super) fn read(reader: &mut Reader<'_>) -> Self {
        let defaults = Self::default();
        Self {
            allowed_origins: read_origins(reader),
            automatic_tax: reader.flag("STRIPE_AUTOMATIC_TAX", defaults.automatic_tax),
            promotion_codes: reader.flag("STRIPE_PROMOTION_CODES", defaults.promotion_codes),
            payment_methods: read_methods(reader, defaults.payment_methods),
            placement: read_word(
                reader,
                "PLACEMENT",
                Strategy::parse,
                defaults.placement,
                "must be spread or pack",
            ),
            // One minute above Stripe's 30, for the way there; Stripe's most is a day.
            hold_minutes: reader.number("HOLD_MINUTES", defaults.hold_minutes, 31..=1430),
            grace_days: reader.number(
                "GRACE_DAYS",
                defaults.grace_days,
                0..=u32::from(MAX_GRACE_DAYS),
            ),
            retention_days: reader.number(
                "RETENTION_DAYS",
                defaults.retention_days,
                0..=u32::from(MAX_RETENTION_DAYS),
            ),
            disputes: read_word(
                reader,
                "DISPUTES",
                DisputePolicy::parse,
                defaults.disputes,
                "must be suspend or ignore",
            ),
            refunded: read_word(
                reader,
                "REFUNDED",
                RefundPolicy::parse,
                defaults.refunded,
                "must be end or keep",
            ),
            refund_unfulfillable_after: reader.patience("REFUND_UNFULFILLABLE_AFTER_SECONDS"),
        }
    }
}

fn read_origins(reader: &mut Reader<'_>) -> Vec<String> {
    const NAME: &str = "CHECKOUT_ALLOWED_ORIGINS";
    let mut origins = Vec::new();
    for text in reader.list(NAME).unwrap_or_default() {
        match origin(&text) {
            Some(origin) => origins.push(origin),
            None => {
                let hint =
                    "must be https://host or http://host:port, without a path; comma separated";
                reader.fault(NAME, format!("{text:?} is no origin"), hint);
            }
        }
    }
    origins
}

/// The canonical form, as a browser would compare it.
fn origin(text: &str) -> Option<String> {
    let url = Url::parse(text).ok()?;
    let bare = matches!(url.scheme(), "http" | "https")
        && url.username().is_empty()
        && url.password().is_none()
        && matches!(&url[Position::BeforePath..], "" | "/");
    bare.then(|| url.origin().ascii_serialization())
}

fn read_methods(reader: &mut Reader<'_>, default: Vec<String>) -> Vec<String> {
    const NAME: &str = "STRIPE_PAYMENT_METHODS";
    let Some(methods) = reader.list(NAME) else {
        return default;
    };
    if methods == ["dashboard"] {
        return Vec::new();
    }
    let word = |method: &String| {
        !method.is_empty()
            && method != "dashboard"
            && method
                .bytes()
                .all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'_')
    };
    if !methods.iter().all(word) {
        let hint = "must be Stripe's words, such as card,sepa_debit; or dashboard alone";
        reader.fault(NAME, "is no list of payment methods", hint);
    }
    methods
}

/// One of a few words.
fn read_word<T>(
    reader: &mut Reader<'_>,
    name: &'static str,
    parse: fn(&str) -> Option<T>,
    default: T,
    hint: &'static str,
) -> T {
    let Some(text) = reader.text(name) else {
        return default;
    };
    parse(&text).unwrap_or_else(|| {
        reader.fault(name, format!("is {text:?}"), hint);
        default
    })
}

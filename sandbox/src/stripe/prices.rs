//! The price catalogue.
//!
//! Products are not kept: a price carries any product id it was given.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use super::periods::Interval;
use super::table::Row;

pub(super) mod calls;

/// A price to put into the catalogue.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct PriceSpec {
    /// `price_...`; any text is an id.
    pub id: String,
    /// `prod_...`.
    pub product: String,
    /// ISO 4217, lower case.
    pub currency: String,
    /// Minor units.
    pub unit_amount: i64,
    /// `None` for a price that is paid once.
    pub interval: Option<Interval>,
    /// How many intervals make a period.
    pub interval_count: i64,
    /// Whether it may be sold.
    pub active: bool,
}

impl PriceSpec {
    /// An active price in US dollars that recurs every `interval_count` intervals.
    pub fn recurring(id: &str, unit_amount: i64, interval: Interval, interval_count: i64) -> Self {
        Self {
            id: id.to_owned(),
            product: format!("prod_{}", id.trim_start_matches("price_")),
            currency: "usd".to_owned(),
            unit_amount,
            interval: Some(interval),
            interval_count,
            active: true,
        }
    }
}

/// A stored price.
#[derive(Clone)]
pub(super) struct Price {
    pub spec: PriceSpec,
    pub created: i64,
    pub livemode: bool,
    pub metered: bool,
    pub nickname: Option<String>,
    pub lookup_key: Option<String>,
    pub metadata: BTreeMap<String, String>,
}

impl Row for Price {
    const OBJECT: &'static str = "price";

    fn id(&self) -> &str {
        &self.spec.id
    }

    fn created(&self) -> i64 {
        self.created
    }
}

impl Price {
    /// A licensed price without labels.
    pub(super) fn plain(spec: PriceSpec, created: i64, livemode: bool) -> Self {
        Self {
            spec,
            created,
            livemode,
            metered: false,
            nickname: None,
            lookup_key: None,
            metadata: BTreeMap::new(),
        }
    }

    fn usage_type(&self) -> &'static str {
        if self.metered { "metered" } else { "licensed" }
    }

    /// The object as it is answered; the same in every version.
    pub(super) fn render(&self) -> Value {
        let spec = &self.spec;
        let recurring = spec.interval.map(|interval| {
            json!({
                "interval": interval,
                "interval_count": spec.interval_count,
                "meter": null,
                "trial_period_days": null,
                "usage_type": self.usage_type(),
            })
        });
        json!({
            "id": spec.id,
            "object": "price",
            "active": spec.active,
            "billing_scheme": "per_unit",
            "created": self.created,
            "currency": spec.currency,
            "custom_unit_amount": null,
            "livemode": self.livemode,
            "lookup_key": self.lookup_key,
            "metadata": self.metadata,
            "nickname": self.nickname,
            "product": spec.product,
            "recurring": recurring,
            "tax_behavior": "unspecified",
            "tiers_mode": null,
            "transform_quantity": null,
            "type": if spec.interval.is_some() { "recurring" } else { "one_time" },
            "unit_amount": spec.unit_amount,
            "unit_amount_decimal": spec.unit_amount.to_string(),
        })
    }

    /// The older `plan` that mirrors a recurring price.
    pub(super) fn render_plan(&self) -> Value {
        let spec = &self.spec;
        let Some(interval) = spec.interval else {
            return Value::Null;
        };
        json!({
            "id": spec.id,
            "object": "plan",
            "active": spec.active,
            "amount": spec.unit_amount,
            "amount_decimal": spec.unit_amount.to_string(),
            "billing_scheme": "per_unit",
            "created": self.created,
            "currency": spec.currency,
            "interval": interval,
            "interval_count": spec.interval_count,
            "livemode": self.livemode,
            "metadata": self.metadata,
            "meter": null,
            "nickname": self.nickname,
            "product": spec.product,
            "tiers_mode": null,
            "transform_usage": null,
            "trial_period_days": null,
            "usage_type": self.usage_type(),
        })
    }
}

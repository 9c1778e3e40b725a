//! Turns configuration into the parts of the service.

use std::{sync::Arc, time::Duration};

use async_trait::async_trait;
use tokio::sync::Mutex;

use super::Error;
use crate::{
    app::{
        self, App, Nudge,
        checkout::{openings::Openings, prices::PriceCache},
    },
    config::Config,
    db::{Db, budget, orders},
    domain::{DAY_US, affiliate::Terms, entitlement::Patience, step::Timing},
    panel::{self, Budget, Class, HttpPanel, RateSeen},
    stripe::{self, HttpStripe},
    worker::{self, budget::SharedBudget},
};

/// Everything that a verb needs.
pub(super) async fn app(config: &Config, db: Db) -> Result<App, Error> {
    let panel = HttpPanel::new(panel_settings(config), panel_budget(config, &db).await?)?;
    let stripe = HttpStripe::new(stripe_settings(config))?;
    // They may have been parked before this was the shop's policy, or by a version that did not
    // look at them again.
    orders::wake_undelivered(&db).await.map_err(Error::Store)?;
    Ok(App {
        db,
        stripe: Arc::new(stripe),
        panel_housekeeping: Arc::new(panel.housekeeping()),
        panel: Arc::new(panel),
        nudge: Nudge::default(),
        prices: PriceCache::default(),
        openings: Openings::default(),
        portal_configuration: Mutex::default(),
        settings: app_settings(config),
    })
}

fn stripe_settings(config: &Config) -> stripe::Settings {
    let key = config.stripe.secret_key.clone();
    let usual = stripe::Settings::new(config.stripe.api_base.clone(), Arc::new(move || key.get()));
    let longest = config.worker.longest_call;
    stripe::Settings {
        timeout: usual.timeout.min(longest),
        deadline: usual.deadline.min(longest),
        ..usual
    }
}

fn panel_settings(config: &Config) -> panel::Settings {
    let key = config.panel.key.clone();
    let usual = panel::Settings::new(config.panel.url.clone(), Arc::new(move || key.get()));
    if usual.insecure() {
        tracing::warn!("PANEL_URL is plain http: the panel's key crosses the network in the clear");
    }
    let longest = config.worker.longest_call;
    panel::Settings {
        connect_timeout: usual.connect_timeout.min(longest),
        read_timeout: usual.read_timeout.min(longest),
        node_timeout: usual.node_timeout.min(longest),
        create_timeout: usual.create_timeout.min(longest),
        ..usual
    }
}

fn app_settings(config: &Config) -> app::Settings {
    let (shop, panel) = (&config.shop, &config.panel);
    app::Settings {
        checkout_allowed_origins: shop.allowed_origins.clone(),
        panel_url: panel.url.as_str().trim_end_matches('/').to_owned(),
        placement: shop.placement,
        hold_minutes: shop.hold_minutes,
        automatic_tax: shop.automatic_tax,
        promotion_codes: shop.promotion_codes,
        payment_methods: shop.payment_methods.clone(),
        disputes: shop.disputes,
        refunded: shop.refunded,
        timing: timing(config),
        affiliates: terms(config),
        max_creates: panel.max_creates,
        max_creates_per_node: panel.max_creates_per_node,
        force_delete_after_us: panel.force_delete_after.map(micros),
    }
}

/// The second look follows the first after a ninth of the whole: 5 s after 45 s.
fn timing(config: &Config) -> Timing {
    let (settle, shop) = (config.worker.settle, &config.shop);
    let days = |number: u32| i64::from(number) * DAY_US;
    Timing {
        settle_us: micros(settle),
        settle_again_us: micros(settle / 9),
        refund_unfulfillable_after_us: shop.refund_unfulfillable_after.map(micros),
        patience: Patience {
            grace_us: days(shop.grace_days),
            retention_us: days(shop.retention_days),
        },
        ..Timing::default()
    }
}

/// Both are bounded by their reader.
fn terms(config: &Config) -> Terms {
    let promised = &config.affiliates;
    let whole = |number: u32| i32::try_from(number).unwrap_or(i32::MAX);
    Terms {
        percent: whole(promised.percent),
        months: whole(promised.months),
        refund_us: i64::from(promised.refund_days) * DAY_US,
    }
}

fn micros(duration: Duration) -> i64 {
    i64::try_from(duration.as_micros()).unwrap_or(i64::MAX)
}

/// How the worker works.
pub(super) fn worker_settings(config: &Config) -> worker::Settings {
    let wanted = &config.worker;
    let defaults = worker::Settings::default();
    worker::Settings {
        lease: wanted.lease,
        lease_margin: wanted.lease_margin,
        longest_call: wanted.longest_call,
        step_limit: 5 * wanted.longest_call,
        concurrency: wanted.concurrency,
        retry: wanted.retry,
        periods: worker::Periods {
            install_watch: wanted.sweep_install,
            pending_sessions: wanted.sweep_pending,
            panel_mirror: wanted.sweep_ports,
            stripe_events: wanted.sweep_events,
            charges: wanted.sweep_charges,
            subscriptions: wanted.sweep_subscriptions,
            commissions: wanted.sweep_commissions,
            servers: wanted.sweep_servers,
            profiles: wanted.sweep_profiles,
            request_keys: wanted.sweep_requests,
            ..defaults.periods.clone()
        },
        ..defaults
    }
}

async fn panel_budget(config: &Config, db: &Db) -> Result<Arc<dyn Budget>, Error> {
    let shared = SharedBudget::new(db.clone());
    let Some(cap) = config.panel.rate_limit else {
        return Ok(Arc::new(shared));
    };
    let limit = i32::try_from(cap).unwrap_or(i32::MAX);
    budget::set_limit(db, limit).await.map_err(Error::Store)?;
    Ok(Arc::new(Capped { shared, cap }))
}

/// A budget that its owner holds below what the panel would allow, because others
/// use the same key.
struct Capped {
    shared: SharedBudget,
    cap: u32,
}

#[async_trait]
impl Budget for Capped {
    async fn take(&self, class: Class) -> Result<(), Duration> {
        self.shared.take(class).await
    }

    async fn observe(&self, seen: RateSeen) {
        self.shared.observe(cap(seen, self.cap)).await;
    }
}

/// The panel's word, but no limit above the cap.
fn cap(seen: RateSeen, cap: u32) -> RateSeen {
    RateSeen {
        limit: seen.limit.map(|limit| limit.min(cap)),
        ..seen
    }
}

#[cfg(test)]
mod tests {
    use super::cap;
    use crate::panel::RateSeen;

    #[test]
    fn a_cap_lowers_and_never_raises() {
        let limit = |limit| {
            cap(
                RateSeen {
                    limit,
                    ..RateSeen::default()
                },
                100,
            )
            .limit
        };
        assert_eq!(limit(Some(240)), Some(100));
        assert_eq!(limit(Some(60)), Some(60));
        assert_eq!(limit(None), None);
    }
}

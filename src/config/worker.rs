//! `LEASE_*`, `SWEEP_*` and their kin: how the worker works.

use std::time::Duration;

use super::reader::Reader;

/// How the worker works.
#[derive(Clone, Debug)]
pub struct Worker {
    /// How long a claim lasts without renewal: after a crash an order waits this long.
    pub lease: Duration,
    /// What a lease must outlast the longest call by.
    pub lease_margin: Duration,
    /// The longest call of Stripe or the panel. The panel itself waits up to 30 s for a node.
    pub longest_call: Duration,
    /// Orders worked on at a time.
    pub concurrency: usize,
    /// How long after a create began, without an answer, the panel is believed.
    pub settle: Duration,
    /// How long an order waits after trouble of Stripe or the panel.
    pub retry: Duration,
    /// Between polls for installs.
    pub sweep_install: Duration,
    /// Between looks for pending orders whose session should be over.
    pub sweep_pending: Duration,
    /// Between looks for events that no webhook brought. Each is at least one call of Stripe.
    pub sweep_events: Duration,
    /// Between questions to Stripe whose refunds and disputes are that events told of.
    pub sweep_charges: Duration,
    /// Between comparisons of all subscriptions: one call of Stripe for each hundred.
    pub sweep_subscriptions: Duration,
    /// Between looks for what referred orders earn: a few calls of Stripe for each that has news.
    pub sweep_commissions: Duration,
    /// Between searches for servers that are gone from the panel: one call for each thousand.
    pub sweep_servers: Duration,
    /// Between refills of the ports that we know of.
    pub sweep_ports: Duration,
    /// Between looks for profiles that Stripe and the panel are to follow.
    pub sweep_profiles: Duration,
    /// Between removals of old request keys.
    pub sweep_requests: Duration,
}

impl Default for Worker {
    fn default() -> Self {
        Self {
            lease: Duration::from_secs(60),
            lease_margin: Duration::from_secs(10),
            longest_call: Duration::from_secs(40),
            concurrency: 16,
            settle: Duration::from_secs(45),
            retry: Duration::from_secs(10),
            sweep_install: Duration::from_secs(10),
            sweep_pending: Duration::from_secs(30),
            sweep_events: Duration::from_secs(300),
            sweep_charges: Duration::from_secs(30),
            sweep_subscriptions: Duration::from_secs(6 * 3600),
            sweep_commissions: Duration::from_secs(300),
            sweep_servers: Duration::from_secs(300),
            sweep_ports: Duration::from_secs(30),
            sweep_profiles: Duration::from_secs(5),
            sweep_requests: Duration::from_secs(3600),
        }
    }
}

const DAY_S: f64 = 86_400.0;

impl Worker {
    pub(super) fn read(reader: &mut Reader<'_>) -> Self {
        let defaults = Self::default();
        let read = Self {
            lease: reader.seconds("LEASE_SECONDS", defaults.lease, 0.5..=3600.0),
            lease_margin: reader.seconds(
                "LEASE_MARGIN_SECONDS",
                defaults.lease_margin,
                0.1..=600.0,
            ),
            longest_call: reader.seconds(
                "CALL_TIMEOUT_SECONDS",
                defaults.longest_call,
                0.1..=600.0,
            ),
            concurrency: reader.number("WORKER_CONCURRENCY", defaults.concurrency, 1..=1024),
            settle: reader.seconds("SETTLE_SECONDS", defaults.settle, 0.0..=3600.0),
            retry: reader.seconds("RETRY_SECONDS", defaults.retry, 0.05..=600.0),
            sweep_install: sweep(reader, "SWEEP_INSTALL_SECONDS", defaults.sweep_install),
            sweep_pending: sweep(reader, "SWEEP_PENDING_SECONDS", defaults.sweep_pending),
            // Stripe keeps events for thirty days.
            sweep_events: reader.seconds(
                "SWEEP_EVENTS_SECONDS",
                defaults.sweep_events,
                0.05..=30.0 * DAY_S,
            ),
            sweep_charges: sweep(reader, "SWEEP_CHARGES_SECONDS", defaults.sweep_charges),
            sweep_subscriptions: reader.seconds(
                "SWEEP_SUBSCRIPTIONS_SECONDS",
                defaults.sweep_subscriptions,
                0.05..=30.0 * DAY_S,
            ),
            sweep_commissions: sweep(
                reader,
                "SWEEP_COMMISSIONS_SECONDS",
                defaults.sweep_commissions,
            ),
            sweep_servers: reader.seconds(
                "SWEEP_SERVERS_SECONDS",
                defaults.sweep_servers,
                0.05..=30.0 * DAY_S,
            ),
            sweep_ports: sweep(reader, "SWEEP_PORTS_SECONDS", defaults.sweep_ports),
            sweep_profiles: sweep(reader, "SWEEP_PROFILES_SECONDS", defaults.sweep_profiles),
            sweep_requests: sweep(reader, "SWEEP_REQUESTS_SECONDS", defaults.sweep_requests),
        };
        if let Some(problem) = read.lease_problem() {
            let hint = "a lease that ends during a call lets two workers act on one order";
            reader.fault("LEASE_SECONDS", problem, hint);
        }
        read
    }

    /// What is wrong with the lease, if anything. Also asked of values built in code.
    pub fn lease_problem(&self) -> Option<String> {
        (self.lease <= self.longest_call + self.lease_margin).then(|| {
            format!(
                "is {} s, but must be longer than CALL_TIMEOUT_SECONDS ({} s) and \
                 LEASE_MARGIN_SECONDS ({} s) together",
                self.lease.as_secs_f64(),
                self.longest_call.as_secs_f64(),
                self.lease_margin.as_secs_f64()
            )
        })
    }
}

fn sweep(reader: &mut Reader<'_>, name: &str, default: Duration) -> Duration {
    reader.seconds(name, default, 0.05..=DAY_S)
}

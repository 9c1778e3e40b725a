//! What the gateway counts, and the text a Prometheus server reads.
//!
//! Each gateway owns its recorder instead of the process-wide one: several can
//! run in one process, next to a core with its own, without mixing numbers.
//! No label ever comes from a request.

use std::time::Duration;

use metrics::{Key, Label, Level, Metadata, Recorder, SharedString, Unit};
use metrics_exporter_prometheus::PrometheusRecorder;
use metrics_exporter_prometheus::{BuildError, PrometheusBuilder, PrometheusHandle};

const WEBHOOKS: &str = "gateway_webhooks_total";
const REJECTIONS: &str = "gateway_rejections_total";
const UPSTREAM_CALLS: &str = "gateway_upstream_calls_total";
const ALARMS: &str = "gateway_alarms_total";
const CONNECTIONS: &str = "gateway_connections";
const EVENT_AGE: &str = "gateway_event_age_seconds";
const WEBHOOK_SECONDS: &str = "gateway_webhook_seconds";
const UPSTREAM_SECONDS: &str = "gateway_upstream_seconds";

/// Seconds; the upper ones lie around the deadline of the call to the core.
const BUCKETS: [f64; 12] = [
    0.002, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.0, 5.0, 10.0,
];

const METADATA: Metadata<'static> = Metadata::new("gateway", Level::INFO, None);

/// The numbers of one running gateway.
pub struct Metrics {
    recorder: PrometheusRecorder,
    handle: PrometheusHandle,
}

impl Metrics {
    /// A fresh set, all at zero.
    pub fn new() -> Result<Self, BuildError> {
        let recorder = PrometheusBuilder::new()
            .set_buckets(&BUCKETS)?
            .build_recorder();
        let handle = recorder.handle();
        let metrics = Self { recorder, handle };
        metrics.describe();
        Ok(metrics)
    }

    fn describe(&self) {
        let counters = [
            (WEBHOOKS, "Answers to webhook requests, by HTTP status"),
            (REJECTIONS, "Requests not accepted as Stripe's, by reason"),
            (UPSTREAM_CALLS, "Calls to the core, by gRPC code"),
            (ALARMS, "What a person has to look at, by cause"),
        ];
        for (name, text) in counters {
            self.recorder
                .describe_counter(name.into(), None, text.into());
        }
        let gauges = [
            (
                CONNECTIONS,
                Unit::Count,
                "Open connections of webhook senders",
            ),
            (
                EVENT_AGE,
                Unit::Seconds,
                "Time from signing to arrival, last accepted event",
            ),
        ];
        for (name, unit, text) in gauges {
            self.recorder
                .describe_gauge(name.into(), Some(unit), text.into());
        }
        let histograms = [
            (
                WEBHOOK_SECONDS,
                "Time from the head of a webhook to its answer",
            ),
            (UPSTREAM_SECONDS, "Time of the call to the core"),
        ];
        for (name, text) in histograms {
            self.recorder
                .describe_histogram(name.into(), Some(Unit::Seconds), text.into());
        }
        // Alert rules need the series to exist before the first alarm.
        for cause in ["clock_or_replay", "secret_file", "upstream_INTERNAL"] {
            self.add(ALARMS, "cause", cause, 0);
        }
    }

    /// A webhook request was answered.
    pub(crate) fn webhook(&self, status: http::StatusCode, took: Duration) {
        self.add(WEBHOOKS, "status", status.as_str().to_owned(), 1);
        self.observe(WEBHOOK_SECONDS, took);
    }

    /// A request was not accepted as Stripe's.
    pub(crate) fn rejection(&self, reason: &'static str) {
        self.add(REJECTIONS, "reason", reason, 1);
    }

    /// The core answered, or did not.
    pub(crate) fn upstream_call(&self, code: &'static str, took: Duration) {
        self.add(UPSTREAM_CALLS, "code", code, 1);
        self.observe(UPSTREAM_SECONDS, took);
    }

    /// Something that does not heal by itself.
    pub(crate) fn alarm(&self, cause: impl Into<SharedString>) {
        self.add(ALARMS, "cause", cause, 1);
    }

    /// A verified event arrived this long after it was signed.
    pub(crate) fn event_age(&self, seconds: i64) {
        let key = Key::from_static_name(EVENT_AGE);
        self.recorder
            .register_gauge(&key, &METADATA)
            .set(seconds as f64);
    }

    /// Open connections changed by `delta`.
    pub(crate) fn connections(&self, delta: f64) {
        let key = Key::from_static_name(CONNECTIONS);
        self.recorder
            .register_gauge(&key, &METADATA)
            .increment(delta);
    }

    /// The text of `GET /metrics`.
    pub fn render(&self) -> String {
        self.handle.render()
    }

    /// Folds raw samples into buckets; without it they pile up between two reads.
    pub(crate) fn upkeep(&self) {
        self.handle.run_upkeep();
    }

    fn add(
        &self,
        name: &'static str,
        label: &'static str,
        value: impl Into<SharedString>,
        by: u64,
    ) {
        let key = Key::from_parts(name, vec![Label::new(label, value)]);
        self.recorder
            .register_counter(&key, &METADATA)
            .increment(by);
    }

    fn observe(&self, name: &'static str, took: Duration) {
        let key = Key::from_static_name(name);
        self.recorder
            .register_histogram(&key, &METADATA)
            .record(took.as_secs_f64());
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn two_sets_in_one_process_do_not_mix() {
        let (one, other) = (Metrics::new().unwrap(), Metrics::new().unwrap());
        one.rejection("header_missing");
        one.webhook(http::StatusCode::BAD_REQUEST, Duration::from_millis(3));
        let (one, other) = (one.render(), other.render());
        assert!(
            one.contains("gateway_rejections_total{reason=\"header_missing\"} 1"),
            "{one}"
        );
        assert!(
            one.contains("gateway_webhooks_total{status=\"400\"} 1"),
            "{one}"
        );
        assert!(one.contains("gateway_webhook_seconds_bucket"), "{one}");
        assert!(!other.contains("header_missing"), "{other}");
        assert!(
            other.contains("gateway_alarms_total{cause=\"clock_or_replay\"} 0"),
            "{other}"
        );
    }
}

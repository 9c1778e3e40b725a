//! Webhooks: endpoints, switches that make delivery unpleasant, and signatures.
//!
//! An event is queued for each endpoint when it is made. Sending and retrying lie
//! in `webhooks/delivery.rs`, the signature in `webhooks/signature.rs`.

use rand::SeedableRng;
use rand::rngs::StdRng;
use rand::seq::SliceRandom;
use serde::{Deserialize, Serialize};
use tokio::sync::{mpsc, watch};

use super::errors::Refusal;
use super::events::type_matches;
use super::version::ApiVersion;

pub(super) mod delivery;
mod signature;

pub use signature::sign;

/// How events are delivered from now on.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct WebhookSwitches {
    /// Off: events made meanwhile are never delivered by themselves.
    pub enabled: bool,
    /// Every event is sent twice with the same id.
    pub doubled: bool,
    /// The header carries a second `v1`, made with the endpoint's former secret.
    pub two_signatures: bool,
    /// Events wait until they are released, in any order.
    pub hold: bool,
    /// Fields that no version of Stripe has are added.
    pub extra_fields: bool,
    /// Signatures carry the sandbox clock instead of the machine's.
    pub sandbox_time: bool,
    /// Events are sent so many seconds of the sandbox clock after they were made.
    pub late_seconds: u64,
    /// Of two signatures the one with the former secret comes first.
    pub former_first: bool,
    /// In which version's form events are sent.
    pub rendering: Rendering,
}

impl Default for WebhookSwitches {
    fn default() -> Self {
        Self {
            enabled: true,
            doubled: false,
            two_signatures: false,
            hold: false,
            extra_fields: false,
            sandbox_time: false,
            late_seconds: 0,
            former_first: false,
            rendering: Rendering::Endpoint,
        }
    }
}

/// The form in which events are sent.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Rendering {
    /// As the endpoint wants it.
    #[default]
    Endpoint,
    /// As before basil.
    Old,
    /// As since basil.
    New,
    /// The old and the new form in turns, one per attempt.
    Alternating,
}

/// How often the switches had an effect.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub struct WebhookCounts {
    /// Deliveries that were never begun: events made while delivery was off, or of a withheld type.
    pub never: usize,
    /// Second copies.
    pub doubled: usize,
    /// Deliveries that were held.
    pub held: usize,
    /// Deliveries that were let go in another order than the one they were made in.
    pub shuffled: usize,
    /// Deliveries that were sent late.
    pub late: usize,
    /// Attempts with two signatures.
    pub two_signatures: usize,
    /// Attempts in the old form.
    pub old: usize,
    /// Attempts in the new form.
    pub new: usize,
}

/// In which order held events are let go.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ReleaseOrder {
    /// As they were made.
    Created,
    /// The newest first.
    Reversed,
    /// Shuffled by this seed.
    Shuffled(u64),
}

/// One attempt to deliver an event.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Delivery {
    /// `evt_...`.
    pub event_id: String,
    /// Where it was sent.
    pub url: String,
    /// HTTP status of the answer; 0 without one.
    pub status: u16,
    /// 1 for the first attempt.
    pub attempt: u32,
}

struct Endpoint {
    url: String,
    secret: String,
    former_secret: String,
    version: ApiVersion,
    active: bool,
}

/// An event on its way to an endpoint.
#[derive(Clone)]
pub(super) struct Job {
    pub event_id: String,
    endpoint: usize,
    attempt: u32,
    /// The form it is sent in, if not by the switches.
    version: Option<ApiVersion>,
}

impl Job {
    fn first(event_id: &str, endpoint: usize) -> Self {
        Self {
            event_id: event_id.to_owned(),
            endpoint,
            attempt: 1,
            version: None,
        }
    }
}

/// Endpoints, queues and what was sent.
pub(super) struct Webhooks {
    pub switches: WebhookSwitches,
    pub deliveries: Vec<Delivery>,
    pub counts: WebhookCounts,
    /// Types, as in `invoice.*`, that are never delivered by themselves.
    pub withheld: Vec<String>,
    endpoints: Vec<Endpoint>,
    held: Vec<Job>,
    /// Events that are sent at their second.
    late: Vec<(i64, Job)>,
    /// Failed attempts that wait to be retried by hand.
    failed: Vec<Job>,
    outbox: mpsc::UnboundedSender<Job>,
    /// Deliveries that are neither done nor given up.
    busy: watch::Sender<usize>,
}

impl Webhooks {
    pub(super) fn new(outbox: mpsc::UnboundedSender<Job>) -> Self {
        Self {
            switches: WebhookSwitches::default(),
            deliveries: Vec::new(),
            counts: WebhookCounts::default(),
            withheld: Vec::new(),
            endpoints: Vec::new(),
            held: Vec::new(),
            late: Vec::new(),
            failed: Vec::new(),
            outbox,
            busy: watch::Sender::new(0),
        }
    }

    /// Adds an endpoint.
    pub(super) fn add_endpoint(&mut self, url: &str, secret: &str, version: ApiVersion) {
        self.endpoints.push(Endpoint {
            url: url.to_owned(),
            secret: secret.to_owned(),
            former_secret: "whsec_sandbox_former".to_owned(),
            version,
            active: true,
        });
    }

    /// Forgets all endpoints; what is under way to them is not sent.
    pub(super) fn remove_endpoints(&mut self) {
        self.endpoints
            .iter_mut()
            .for_each(|endpoint| endpoint.active = false);
    }

    /// Gives the active endpoints a new secret and signs with both.
    pub(super) fn roll_secret(&mut self, secret: &str) {
        for endpoint in self.endpoints.iter_mut().filter(|endpoint| endpoint.active) {
            endpoint.former_secret = std::mem::replace(&mut endpoint.secret, secret.to_owned());
        }
        self.switches.two_signatures = true;
    }

    /// The endpoints a new event is meant for.
    pub(super) fn active(&self) -> Vec<usize> {
        let endpoints = self.endpoints.iter().enumerate();
        endpoints
            .filter(|(_, endpoint)| endpoint.active)
            .map(|(at, _)| at)
            .collect()
    }

    /// Queues a new event by the switches.
    pub(super) fn announce(&mut self, event_id: &str, kind: &str, now: i64) {
        let mut withheld = self.withheld.iter();
        let never = !self.switches.enabled || withheld.any(|pattern| type_matches(pattern, kind));
        for endpoint in self.active() {
            if never {
                self.counts.never += 1;
                continue;
            }
            self.queue(Job::first(event_id, endpoint), now);
            if self.switches.doubled {
                self.counts.doubled += 1;
                self.queue(Job::first(event_id, endpoint), now);
            }
        }
    }

    fn queue(&mut self, job: Job, now: i64) {
        let late = i64::try_from(self.switches.late_seconds).unwrap_or(i64::MAX);
        if self.switches.hold {
            self.counts.held += 1;
            self.held.push(job);
        } else if late > 0 {
            self.counts.late += 1;
            self.late.push((now.saturating_add(late), job));
        } else {
            self.send(job);
        }
    }

    /// Sends the late events whose second has come, the earliest first.
    pub(super) fn send_due(&mut self, now: i64) {
        let (mut due, left): (Vec<_>, Vec<_>) = std::mem::take(&mut self.late)
            .into_iter()
            .partition(|(at, _)| *at <= now);
        self.late = left;
        due.sort_by_key(|(at, _)| *at);
        due.into_iter().for_each(|(_, job)| self.send(job));
    }

    /// Sends an event to every endpoint, whatever the switches say; in the form of a version, if
    /// one is given.
    pub(super) fn resend(&mut self, event_id: &str, version: Option<&ApiVersion>) {
        for endpoint in self.active() {
            self.send(Job {
                version: version.cloned(),
                ..Job::first(event_id, endpoint)
            });
        }
    }

    /// The ids of held events, one for each copy.
    pub(super) fn held(&self) -> Vec<String> {
        self.held.iter().map(|job| job.event_id.clone()).collect()
    }

    /// Lets held events go, in the order given; one copy per mention.
    pub(super) fn release(&mut self, event_ids: &[String]) -> Result<(), Refusal> {
        for id in event_ids {
            let Some(at) = self.held.iter().position(|job| job.event_id == *id) else {
                return Err(Refusal::not_found("held event", id));
            };
            self.counts.shuffled += usize::from(at > 0);
            let job = self.held.remove(at);
            self.send(job);
        }
        Ok(())
    }

    /// Lets all held events go.
    pub(super) fn release_all(&mut self, order: ReleaseOrder) {
        let mut jobs = std::mem::take(&mut self.held);
        let made: Vec<String> = jobs.iter().map(|job| job.event_id.clone()).collect();
        match order {
            ReleaseOrder::Created => {}
            ReleaseOrder::Reversed => jobs.reverse(),
            ReleaseOrder::Shuffled(seed) => jobs.shuffle(&mut StdRng::seed_from_u64(seed)),
        }
        let moved = jobs.iter().zip(&made);
        self.counts.shuffled += moved.filter(|(job, id)| job.event_id != **id).count();
        jobs.into_iter().for_each(|job| self.send(job));
    }

    /// Sends what has failed once more.
    pub(super) fn retry_failed(&mut self) -> usize {
        let jobs = std::mem::take(&mut self.failed);
        let count = jobs.len();
        jobs.into_iter().for_each(|job| self.send(job));
        count
    }

    /// Watches how many deliveries are under way.
    pub(super) fn busy(&self) -> watch::Receiver<usize> {
        self.busy.subscribe()
    }

    fn send(&mut self, job: Job) {
        // The receiver lives as long as the server; after it, nothing is to be sent.
        if self.outbox.send(job).is_ok() {
            self.busy.send_modify(|count| *count += 1);
        }
    }
}

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
        }
    }
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
}

/// Endpoints, queues and what was sent.
pub(super) struct Webhooks {
    pub switches: WebhookSwitches,
    pub deliveries: Vec<Delivery>,
    endpoints: Vec<Endpoint>,
    held: Vec<Job>,
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
            endpoints: Vec::new(),
            held: Vec::new(),
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
    pub(super) fn announce(&mut self, event_id: &str) {
        if !self.switches.enabled {
            return;
        }
        for endpoint in self.active() {
            for _ in 0..if self.switches.doubled { 2 } else { 1 } {
                let job = Job {
                    event_id: event_id.to_owned(),
                    endpoint,
                    attempt: 1,
                };
                if self.switches.hold {
                    self.held.push(job);
                } else {
                    self.send(job);
                }
            }
        }
    }

    /// Sends an event to every endpoint, whatever the switches say.
    pub(super) fn resend(&mut self, event_id: &str) {
        for endpoint in self.active() {
            self.send(Job {
                event_id: event_id.to_owned(),
                endpoint,
                attempt: 1,
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
            let job = self.held.remove(at);
            self.send(job);
        }
        Ok(())
    }

    /// Lets all held events go.
    pub(super) fn release_all(&mut self, order: ReleaseOrder) {
        let mut jobs = std::mem::take(&mut self.held);
        match order {
            ReleaseOrder::Created => {}
            ReleaseOrder::Reversed => jobs.reverse(),
            ReleaseOrder::Shuffled(seed) => jobs.shuffle(&mut StdRng::seed_from_u64(seed)),
        }
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

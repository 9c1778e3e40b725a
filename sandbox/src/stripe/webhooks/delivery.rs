//! Sends queued events over HTTP and tries again, a bounded number of times.
//!
//! Attempts start in the order of the queue. With one slot the order of arrival is
//! that of the queue too; with more, a slow answer lets later events overtake.

use std::sync::{Arc, LazyLock};
use std::time::Duration;

use serde_json::json;
use tokio::sync::{Semaphore, mpsc};

use super::super::clock::wall;
use super::super::events::Reached;
use super::super::version::ApiVersion;
use super::super::world::{App, World};
use super::signature::{digest, sign};
use super::{Delivery, Endpoint, Job, Rendering, WebhookCounts, Webhooks};

/// How patient delivery is.
#[derive(Clone, Copy, Debug)]
pub struct DeliveryPolicy {
    /// Attempts in all.
    pub attempts: u32,
    /// Wait before the second attempt, doubled for each further one; `None`: only by hand.
    pub backoff: Option<Duration>,
    /// Requests at a time.
    pub parallel: usize,
    /// How long an answer may take.
    pub timeout: Duration,
}

impl Default for DeliveryPolicy {
    fn default() -> Self {
        Self {
            attempts: 5,
            backoff: Some(Duration::from_millis(500)),
            parallel: 1,
            timeout: Duration::from_secs(10),
        }
    }
}

/// Sends jobs until the stand-in stops.
pub(in super::super) async fn run(
    app: App,
    mut jobs: mpsc::UnboundedReceiver<Job>,
    policy: DeliveryPolicy,
) {
    // Made for the first event only: it reads all certificates of the machine.
    let client = LazyLock::new(client);
    let slots = Arc::new(Semaphore::new(policy.parallel.max(1)));
    let mut running = tokio::task::JoinSet::new();
    loop {
        let job = tokio::select! {
            () = app.stop.cancelled() => return,
            job = jobs.recv() => job,
            Some(_) = running.join_next() => continue,
        };
        let Some(job) = job else { return };
        let slot = tokio::select! {
            () = app.stop.cancelled() => return,
            slot = Arc::clone(&slots).acquire_owned() => slot,
        };
        let client = match &*client {
            Ok(client) => client.clone(),
            Err(error) => {
                tracing::error!(%error, "webhooks cannot be sent");
                app.world().webhooks.done();
                continue;
            }
        };
        let app = app.clone();
        running.spawn(async move {
            let again = attempt(&app, &client, &job, policy).await;
            // Retries wait outside of the slot.
            drop(slot);
            if let Some(wait) = again {
                tokio::time::sleep(wait).await;
                app.world().requeue(job);
            }
        });
    }
}

fn client() -> reqwest::Result<reqwest::Client> {
    reqwest::Client::builder()
        .no_proxy()
        .redirect(reqwest::redirect::Policy::none())
        .build()
}

/// One attempt; says how long to wait before the next, if there is one.
async fn attempt(
    app: &App,
    client: &reqwest::Client,
    job: &Job,
    policy: DeliveryPolicy,
) -> Option<Duration> {
    let message = app.world().message(job);
    let Some(message) = message else {
        app.world().webhooks.done();
        return None;
    };
    let answer = client
        .post(&message.url)
        .timeout(policy.timeout)
        .header("Content-Type", "application/json; charset=utf-8")
        .header(
            "User-Agent",
            "Stripe/1.0 (+https://stripe.com/docs/webhooks)",
        )
        .header("Stripe-Signature", message.signature)
        .body(message.body)
        .send()
        .await;
    let status = answer.map_or(0, |answer| answer.status().as_u16());
    let mut world = app.world();
    if !world.book(job, &message.url, status) && job.attempt < policy.attempts {
        if let Some(backoff) = policy.backoff {
            return Some(backoff.saturating_mul(1 << (job.attempt - 1).min(16)));
        }
        let next = Job {
            attempt: job.attempt + 1,
            ..job.clone()
        };
        world.webhooks.failed.push(next);
    }
    world.webhooks.done();
    None
}

/// The version in whose form an attempt is made.
fn form(rendering: Rendering, job: &Job, endpoint: &Endpoint, counts: WebhookCounts) -> ApiVersion {
    let old = || ApiVersion::named(ApiVersion::OLD);
    let new = || ApiVersion::named(ApiVersion::NEW);
    if let Some(version) = &job.version {
        return version.clone();
    }
    match rendering {
        Rendering::Endpoint => endpoint.version.clone(),
        Rendering::Old => old(),
        Rendering::New => new(),
        Rendering::Alternating if (counts.old + counts.new).is_multiple_of(2) => old(),
        Rendering::Alternating => new(),
    }
}

/// What goes over the wire for one attempt.
struct Message {
    url: String,
    signature: String,
    body: Vec<u8>,
}

impl World {
    /// Renders and signs an event for the endpoint of a job.
    fn message(&mut self, job: &Job) -> Option<Message> {
        let now = self.now();
        let event = self.events.get(&job.event_id)?;
        let hooks = &mut self.webhooks;
        let endpoint = hooks
            .endpoints
            .get(job.endpoint)
            .filter(|endpoint| endpoint.active)?;
        let version = form(hooks.switches.rendering, job, endpoint, hooks.counts);
        match version.is_new() {
            true => hooks.counts.new += 1,
            false => hooks.counts.old += 1,
        }
        let mut rendered = event.render(&version);
        if hooks.switches.extra_fields {
            rendered["sandbox_extra"] = json!({ "nested": [1, { "deep": null }] });
            rendered["data"]["object"]["sandbox_extra"] = json!("a field of tomorrow");
        }
        let body = serde_json::to_vec_pretty(&rendered).ok()?;
        let sent_at = if hooks.switches.sandbox_time {
            now
        } else {
            wall()
        };
        let mut signature = sign(&endpoint.secret, sent_at, &body);
        if hooks.switches.two_signatures {
            hooks.counts.two_signatures += 1;
            let (first, second) = match hooks.switches.former_first {
                true => (&endpoint.former_secret, &endpoint.secret),
                false => (&endpoint.secret, &endpoint.former_secret),
            };
            signature = sign(first, sent_at, &body);
            signature.push_str(",v1=");
            signature.push_str(&digest(second, sent_at, &body));
        }
        Some(Message {
            url: endpoint.url.clone(),
            signature,
            body,
        })
    }

    /// Books the answer to an attempt and marks how far the event has come.
    fn book(&mut self, job: &Job, url: &str, status: u16) -> bool {
        let done = (200..300).contains(&status);
        self.webhooks.deliveries.push(Delivery {
            event_id: job.event_id.clone(),
            url: url.to_owned(),
            status,
            attempt: job.attempt,
        });
        if let Ok(event) = self.events.find_mut(&job.event_id) {
            let reached = event
                .reached
                .entry(job.endpoint)
                .or_insert(Reached::Pending);
            // A second copy that fails does not undo the first one's success.
            if done {
                *reached = Reached::Succeeded;
            } else if *reached != Reached::Succeeded {
                *reached = Reached::Failed;
            }
        }
        done
    }

    /// Puts a failed job back into the queue; it counts as under way all the time.
    fn requeue(&mut self, job: Job) {
        let next = Job {
            attempt: job.attempt + 1,
            ..job
        };
        if self.webhooks.outbox.send(next).is_err() {
            self.webhooks.done();
        }
    }
}

impl Webhooks {
    /// One delivery less is under way.
    fn done(&mut self) {
        self.busy
            .send_modify(|count| *count = count.saturating_sub(1));
    }
}

//! Who kills, stops, takes the database away and audits, and says when it is enough.

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use rand::{Rng, SeedableRng, rngs::StdRng};
use spawnpoint::rpc::proto::{self, order_service_client::OrderServiceClient};
use tonic::Code;
use uuid::Uuid;

use super::{
    process::Process,
    shopper::{Market, bearer},
};
use crate::{
    audit::{Auditor, Invariant, Picture, Rest, Violation, violations},
    demo::Story,
    postgres::Cluster,
    world::{Error, World},
};

/// What strikes by this hand, as it is counted.
pub(super) const KINDS: [&str; 4] = ["kills", "stops", "store stops", "store crashes"];

const TICK: Duration = Duration::from_millis(100);
const AUDIT: Duration = Duration::from_secs(30);
const REPORT: Duration = Duration::from_secs(60);
/// With everything in order again, something gets done within this time.
const PATIENCE: Duration = Duration::from_secs(120);
/// Between two looks whether it rests; a look reads everything.
const LOOK: Duration = Duration::from_secs(1);
/// Longer than a lease, shorter than a create takes to settle.
const STOPPED_MS: std::ops::Range<u64> = 1_000..7_000;
/// How long the database is away, and how often it is started: another connection may have
/// its port for a moment.
const AWAY_MS: std::ops::Range<u64> = 0..2_500;
const STARTS: u32 = 20;
/// Orders that a stranger tries to see.
const SAMPLE: usize = 20;
/// A slow machine may need more than one call for the list of them.
const TRIES: u32 = 5;
/// Violations that are told before the run is ended.
const TOLD: usize = 20;

/// The run's own hands.
pub(super) struct Conductor<'a> {
    pub world: &'a World,
    pub auditor: Auditor,
    pub market: &'a Market,
    pub fleet: Vec<Process>,
    pub cluster: Arc<Cluster>,
    pub story: &'a Story,
}

impl Conductor<'_> {
    /// Kills, stops, takes the database away and audits until it is time, or something is
    /// wrong.
    pub(super) async fn conduct(&mut self, until: Instant, mut rng: StdRng) -> Result<(), Error> {
        // One for each: whichever comes first by the machine's time, they choose alike.
        let mut kills = StdRng::seed_from_u64(rng.random());
        let mut stops = StdRng::seed_from_u64(rng.random());
        let mut store = StdRng::seed_from_u64(rng.random());
        let mut crashes = store.random_bool(0.5);
        let mut next_kill = Instant::now() + seconds(&mut kills, 10..25);
        let mut next_stop = Instant::now() + seconds(&mut stops, 20..40);
        let mut next_store = Instant::now() + seconds(&mut store, 30..50);
        let mut next_audit = Instant::now() + AUDIT;
        let mut next_report = Instant::now() + REPORT;
        while Instant::now() < until {
            tokio::time::sleep(TICK).await;
            let now = Instant::now();
            if now >= next_kill {
                self.kill_one(&mut kills).await?;
                next_kill = Instant::now() + seconds(&mut kills, 14..26);
            } else if now >= next_stop {
                self.stop_one(&mut stops).await?;
                next_stop = Instant::now() + seconds(&mut stops, 25..50);
            } else if now >= next_store {
                self.restart_store(&mut store, crashes).await?;
                crashes = !crashes;
                next_store = Instant::now() + seconds(&mut store, 40..70);
            } else if now >= next_audit {
                self.audit(Rest::Running).await?;
                next_audit = Instant::now() + AUDIT;
            } else if now >= next_report {
                self.report().await?;
                next_report = Instant::now() + REPORT;
            }
        }
        Ok(())
    }

    async fn kill_one(&mut self, rng: &mut StdRng) -> Result<(), Error> {
        let chosen = rng.random_range(0..self.fleet.len());
        let dead = Duration::from_millis(rng.random_range(0..2_500));
        let process = &mut self.fleet[chosen];
        process.kill()?;
        self.market.tally.count("kills");
        tokio::time::sleep(dead).await;
        process.restart().await
    }

    async fn stop_one(&mut self, rng: &mut StdRng) -> Result<(), Error> {
        let chosen = rng.random_range(0..self.fleet.len());
        let still = Duration::from_millis(rng.random_range(STOPPED_MS));
        let process = &mut self.fleet[chosen];
        process.stop()?;
        self.market.tally.count("stops");
        tokio::time::sleep(still).await;
        process.go_on()
    }

    /// Takes the database away from everybody, as a power cut would or as its administrator,
    /// and brings it back.
    async fn restart_store(&self, rng: &mut StdRng, crashes: bool) -> Result<(), Error> {
        let away = Duration::from_millis(rng.random_range(AWAY_MS));
        if crashes {
            self.on_cluster(Cluster::crash).await?;
            self.market.tally.count("store crashes");
        } else {
            self.on_cluster(Cluster::stop).await?;
            self.market.tally.count("store stops");
        }
        tokio::time::sleep(away).await;
        let mut tries = 1..STARTS;
        while let Err(error) = self.on_cluster(Cluster::start_again).await {
            if tries.next().is_none() {
                return Err(error);
            }
            tokio::time::sleep(LOOK).await;
        }
        Ok(())
    }

    /// Off the runtime's own threads: customers and stand-ins go on meanwhile.
    async fn on_cluster(&self, act: fn(&Cluster) -> Result<(), String>) -> Result<(), Error> {
        let cluster = Arc::clone(&self.cluster);
        tokio::task::spawn_blocking(move || act(&cluster)).await??;
        Ok(())
    }

    async fn picture(&self) -> Result<Picture, Error> {
        let now_us = self.auditor.now_us().await?;
        let stripe = self.world.stripe.controls();
        Ok(self
            .auditor
            .picture(&self.world.panel, &stripe, now_us)
            .await?)
    }

    async fn audit(&self, rest: Rest) -> Result<(), Error> {
        let picture = self.picture().await?;
        self.market.tally.count("audits");
        verdict(&violations(&picture, rest))
    }

    async fn report(&self) -> Result<(), Error> {
        let counts = self.picture().await?.counts();
        self.story.tell(&self.market.tally.line());
        self.story.tell(&format!("{counts:?}"));
        Ok(())
    }

    /// Lets everything come to rest, and judges it as a whole.
    pub(super) async fn finish(&mut self) -> Result<(), Error> {
        self.story
            .tell("nobody disturbs it any more: until it rests");
        let began = Instant::now();
        let (mut fewest, mut since) = (usize::MAX, began);
        let picture = loop {
            let picture = self.picture().await?;
            let unfinished = picture.unfinished();
            if unfinished.is_empty() {
                break picture;
            }
            if unfinished.len() < fewest {
                (fewest, since) = (unfinished.len(), Instant::now());
            }
            if since.elapsed() > PATIENCE {
                let shown = unfinished.iter().take(TOLD).cloned().collect::<Vec<_>>();
                return Err(format!("it does not come to rest:\n  {}", shown.join("\n  ")).into());
            }
            tokio::time::sleep(LOOK).await;
        };
        self.story.tell(&format!(
            "at rest after {:.1} s",
            began.elapsed().as_secs_f64()
        ));
        self.market.tally.count("audits");
        let mut found = violations(&picture, Rest::AtRest);
        found.extend(self.strangers().await?);
        found.extend(self.secrets_in_logs()?);
        self.report().await?;
        for process in &self.fleet {
            let (start, end) = (process.at_start, process.usage());
            self.story.tell(&format!(
                "{}: {} kB and {} open files when it began, {} kB and {} at the end",
                process.recipe.name, start.rss_kb, start.open_files, end.rss_kb, end.open_files
            ));
        }
        verdict(&found)
    }

    /// I9: to somebody who bought nothing, nothing is there.
    async fn strangers(&self) -> Result<Vec<Violation>, Error> {
        let tokens = &self.world.tokens;
        let mut client = OrderServiceClient::new(self.market.channel.clone());
        let page = proto::ListOrdersRequest {
            page_size: i32::try_from(SAMPLE)?,
            ..Default::default()
        };
        let mut tries = 0..TRIES;
        let orders = loop {
            let asked = bearer(page.clone(), &tokens.operator, None);
            match client.list_orders(asked).await {
                Ok(listed) => break listed.into_inner().orders,
                Err(error) if tries.next().is_none() => return Err(error.into()),
                Err(_) => tokio::time::sleep(LOOK).await,
            }
        };
        let stranger = Uuid::new_v4().to_string();
        let mut found = Vec::new();
        let mut judge = |what: &str, hidden: bool| {
            if !hidden {
                let text = format!("a stranger saw something by {what}");
                found.push(Violation::new(Invariant::I9, text));
            }
        };
        for order in orders {
            let (order_id, user_id) = (order.id, order.user_id);
            let get = proto::GetOrderRequest {
                order_id: order_id.clone(),
            };
            let get = bearer(get, &tokens.storefront, Some(&stranger));
            judge("GetOrder", absent(client.get_order(get).await));
            let events = proto::ListOrderEventsRequest {
                order_id,
                ..Default::default()
            };
            let events = bearer(events, &tokens.storefront, Some(&stranger));
            judge(
                "ListOrderEvents",
                absent(client.list_order_events(events).await),
            );
            let profile = proto::GetProfileRequest { user_id };
            let profile = bearer(profile, &tokens.storefront, Some(&stranger));
            judge("GetProfile", absent(client.get_profile(profile).await));
        }
        let all = proto::ListOrdersRequest::default();
        let all = bearer(all, &tokens.storefront, Some(&stranger));
        let theirs = client.list_orders(all).await;
        let some = theirs.is_ok_and(|answer| !answer.get_ref().orders.is_empty());
        judge("ListOrders", !some);
        Ok(found)
    }

    /// I10: no process wrote a key, a token, a page to pay on or a server's secret.
    fn secrets_in_logs(&self) -> Result<Vec<Violation>, Error> {
        let world = self.world;
        let tokens = &world.tokens;
        let mut secrets = vec![
            tokens.operator.clone(),
            tokens.storefront.clone(),
            tokens.gateway.clone(),
            tokens.viewer.clone(),
            world.stripe.secret_key(),
            world.panel.key().to_owned(),
            crate::world::WEBHOOK_SECRET.to_owned(),
        ];
        secrets.extend(
            world
                .stripe
                .sessions()
                .into_iter()
                .map(|session| session.url),
        );
        let made = world.panel.servers();
        let passwords = made
            .iter()
            .filter_map(|server| server.environment.get("RCON_PASS"));
        secrets.extend(passwords.filter(|secret| !secret.is_empty()).cloned());
        let mut found = Vec::new();
        for process in &self.fleet {
            let log = process.log()?;
            if log.is_empty() {
                return Err(format!("{} logged nothing", process.recipe.name).into());
            }
            for secret in secrets
                .iter()
                .filter(|secret| log.contains(secret.as_str()))
            {
                let kind: String = secret.chars().take(4).collect();
                let text = format!("{} wrote a secret: {kind}...", process.recipe.name);
                found.push(Violation::new(Invariant::I10, text));
            }
        }
        Ok(found)
    }
}

/// Not shown. A machine too slow to answer shows nothing either.
fn absent<T>(answer: Result<T, tonic::Status>) -> bool {
    answer.is_err_and(|status| status.code() != Code::PermissionDenied)
}

fn verdict(found: &[Violation]) -> Result<(), Error> {
    if found.is_empty() {
        return Ok(());
    }
    let shown: Vec<String> = found.iter().take(TOLD).map(ToString::to_string).collect();
    let text = format!("{} violations:\n  {}", found.len(), shown.join("\n  "));
    Err(text.into())
}

fn seconds(rng: &mut StdRng, range: std::ops::Range<u64>) -> Duration {
    Duration::from_secs(rng.random_range(range))
}

//! Plays the recorded cases: sets the scene of each, sends its requests, compares what comes back.

use std::collections::HashMap;
use std::net::{Ipv4Addr, SocketAddr};
use std::time::Duration;

use sandbox::panel::{
    DaemonMode, Grants, KeySpec, Outage, Panel, PanelConfig, Resource, RunningPanel,
};
use serde_json::Value;
use time::OffsetDateTime;
use uuid::Uuid;

use super::case::{Case, Exchange, Request};
use super::client::{Answer, Message, send};
use super::{align, compare, special};

/// Recorded waits are played forty times faster.
const HASTE: u32 = 40;

/// The keys of the recorder by the words that stand for them in the recordings.
const ADMIN: &str = "<ptla_ application key of an admin, all resources read+write>";
const READ_ONLY: &str = "<ptla_ application key, all resources read only>";
const NO_SERVERS: &str = "<ptla_ application key, servers=none, others read+write>";
const NO_PORTS: &str = "<ptla_ application key, allocations=none and eggs=none, others read+write>";
const ELSEWHERE: &str = "<ptla_ application key with allowed_ips 10.1.2.3>";
const ACCOUNT: &str = "<ptlc_ account (client) key of an admin>";
const PLAIN_ACCOUNT: &str = "<ptlc_ account key of a non-admin>";
const PLAIN: &str = "<ptla_ application key whose owner is not an admin>";
const WRONG_SECRET: &str = "<right identifier, wrong secret>";
const NODE_TOKEN: &str = "<node daemon token of node 1>";

fn config() -> PanelConfig {
    let mut config = PanelConfig::recorded()
        .with_daemon_timeouts(
            Duration::from_secs(5) / HASTE,
            Duration::from_secs(15) / HASTE,
        )
        .with_race_window(Duration::from_millis(30));
    let no_ports = Grants::ALL
        .without(Resource::Allocations)
        .without(Resource::Eggs);
    let mut elsewhere = KeySpec::application("ptla_elsewhere", 1);
    elsewhere.allowed_ips = vec![Ipv4Addr::new(10, 1, 2, 3).into()];
    let mut expired = KeySpec::application("ptla_expired", 1);
    expired.expires_at = Some(OffsetDateTime::UNIX_EPOCH);
    config.keys.extend([
        KeySpec::application("ptla_read_only", 1).with_grants(Grants::READ_ONLY),
        KeySpec::application("ptla_no_servers", 1)
            .with_grants(Grants::ALL.without(Resource::Servers)),
        KeySpec::application("ptla_no_ports", 1).with_grants(no_ports),
        elsewhere,
        expired,
        KeySpec::account("ptlc_admin", 1),
        KeySpec::account("ptlc_plain", 2),
        KeySpec::application("ptla_plain", 2),
    ]);
    config
}

/// The panel on which all cases are played.
pub(crate) struct Stage {
    pub panel: RunningPanel,
    /// Whether the last case left rows whose ids a race decided.
    raced: bool,
}

impl Stage {
    pub(crate) async fn open() -> Self {
        let addr = SocketAddr::from((Ipv4Addr::LOCALHOST, 0));
        Self {
            panel: Panel::start(config(), addr).await.unwrap(),
            raced: false,
        }
    }

    pub(crate) async fn close(self) {
        self.panel.stop().await;
    }

    /// Plays a case; the answer is what differed.
    pub(crate) async fn play(&mut self, case: &Case) -> Vec<String> {
        let race = is_race(case);
        self.set_scene(case);
        if let Some(before) = case
            .database
            .as_ref()
            .and_then(|database| database.before.as_ref())
        {
            align::by_hand(&self.panel, case, before, self.raced);
            self.raced = false;
        }
        special::unrecorded_attempt(self, case).await;
        let asked = self.panel.daemon_calls().len();
        let mut found = match special::play(self, case).await {
            Some(found) => found,
            None => self.play_in_order(case).await,
        };
        if !race {
            found.extend(self.daemon_differences(case, asked));
        }
        self.clear_scene();
        if let Some(after) = case
            .database
            .as_ref()
            .and_then(|database| database.after.as_ref())
        {
            if race {
                align::by_hand(&self.panel, case, after, true);
                self.raced = true;
            }
            found.extend(align::differences(&self.panel, after));
        }
        found
    }

    fn set_scene(&self, case: &Case) {
        self.panel.reset_rate_limit();
        let (first, second) = match case.daemon.mode.as_deref() {
            Some(mode) => (hastened(mode), DaemonMode::Ok),
            None if case.name == "servers-create-daemon-connect-timeout" => {
                (DaemonMode::Ok, DaemonMode::Blackhole)
            }
            None => (DaemonMode::Ok, DaemonMode::Ok),
        };
        self.panel.set_daemon(1, first);
        self.panel.set_daemon(2, second);
        if case.name == "servers-create-node-in-maintenance" {
            self.panel.set_node_maintenance(1, true);
        }
    }

    fn clear_scene(&self) {
        self.panel.set_outage(None);
        self.panel.set_node_maintenance(1, false);
        self.panel.set_transferring(1, false);
    }

    async fn play_in_order(&self, case: &Case) -> Vec<String> {
        let mut found = Vec::new();
        let mut offsets = HashMap::new();
        for (index, exchange) in case.exchanges.iter().enumerate() {
            self.before_exchange(case, index, exchange);
            let ours = self.perform(case, exchange).await;
            let mut differences = self.compare(exchange, &ours);
            differences.extend(limit_difference(exchange, &ours, &mut offsets));
            found.extend(
                differences
                    .into_iter()
                    .map(|one| format!("exchange {index}: {one}")),
            );
        }
        found
    }

    pub(crate) fn compare(&self, exchange: &Exchange, ours: &Answer) -> Vec<String> {
        compare::exchange(exchange, ours, &self.panel.url())
    }

    /// What the recorder changed behind the panel's back between two requests.
    fn before_exchange(&self, case: &Case, index: usize, exchange: &Exchange) {
        let outage = match (case.name.as_str(), index) {
            ("auth-2fa-required", 0..=2) => Some(Outage::TwoFactorRequired),
            ("panel-maintenance-503", 0..=3) => Some(Outage::Maintenance),
            ("panel-database-unreachable", 0..=2) => Some(Outage::Database),
            ("panel-redis-unreachable", 0..=1) => Some(Outage::Cache),
            ("users-create-mail-broken", 0) => Some(Outage::Mail),
            _ => None,
        };
        self.panel.set_outage(outage);
        match (case.name.as_str(), index) {
            ("servers-suspend-transferring", 0) => self.panel.set_transferring(1, true),
            ("servers-delete-database-host-down", 0) => self.panel.break_database_host(56),
            _ => {}
        }
        self.script(exchange);
    }

    /// Chance decided the recorded uuid and, with `deploy`, the port; here they are told.
    pub(crate) fn script(&self, exchange: &Exchange) {
        let created = exchange.request.method == "POST"
            && exchange
                .request
                .path
                .starts_with("/api/application/servers")
            && exchange.response.status == 201;
        let Some(body) = exchange.response.body.as_ref().filter(|_| created) else {
            return;
        };
        let row = &body["attributes"];
        let uuid = row["uuid"]
            .as_str()
            .and_then(|uuid| Uuid::parse_str(uuid).ok());
        self.panel.script_server_uuids(uuid);
        if exchange
            .request
            .json()
            .is_some_and(|sent| sent.get("deploy").is_some())
        {
            self.panel.script_draws(row["allocation"].as_i64());
        }
    }

    pub(crate) async fn perform(&self, case: &Case, exchange: &Exchange) -> Answer {
        send(self.panel.addr(), &self.message(case, &exchange.request)).await
    }

    /// The request with the stand-in's own keys in place of the recorder's.
    pub(crate) fn message(&self, case: &Case, request: &Request) -> Message {
        let headers = request.headers.iter().map(|(name, value)| {
            let value = match value.strip_prefix("Bearer ") {
                Some(key) => format!("Bearer {}", self.key(case, key)),
                None => value.clone(),
            };
            (name.clone(), value)
        });
        Message {
            method: request.method.clone(),
            target: request.path.clone(),
            headers: headers.collect(),
            body: request.payload(),
        }
    }

    fn key(&self, case: &Case, recorded: &str) -> String {
        match recorded {
            ADMIN => self.panel.key().to_owned(),
            NO_SERVERS if case.name == "auth-expired-key" => "ptla_expired".to_owned(),
            READ_ONLY => "ptla_read_only".to_owned(),
            NO_SERVERS => "ptla_no_servers".to_owned(),
            NO_PORTS => "ptla_no_ports".to_owned(),
            ELSEWHERE => "ptla_elsewhere".to_owned(),
            ACCOUNT => "ptlc_admin".to_owned(),
            PLAIN_ACCOUNT => "ptlc_plain".to_owned(),
            PLAIN => "ptla_plain".to_owned(),
            WRONG_SECRET => format!("{}x", self.panel.key()),
            NODE_TOKEN => self.panel.daemon_token(1).unwrap(),
            other => other.to_owned(),
        }
    }

    fn daemon_differences(&self, case: &Case, asked: usize) -> Option<String> {
        let theirs: Vec<String> = case
            .daemon
            .calls
            .iter()
            .map(|call| short(&call.method, &call.path, call.body()))
            .collect();
        let ours = self.panel.daemon_calls();
        let ours: Vec<String> = ours
            .iter()
            .skip(asked)
            .map(|call| short(call.method, &call.path, call.body.clone()))
            .collect();
        // Without control over the daemon its calls were not recorded either.
        let known = case.daemon.mode.is_some();
        (known && theirs != ours).then(|| format!("daemon calls {theirs:?} are {ours:?} here"))
    }
}

/// Whether the requests of a case were sent at once, so that chance decided between them.
pub(crate) fn is_race(case: &Case) -> bool {
    case.name.starts_with("race-")
}

/// A daemon call without the uuid, which for a failed create nobody knows.
fn short(method: &str, path: &str, body: Option<Value>) -> String {
    let parts: Vec<&str> = path.split('/').filter(|part| part.len() != 36).collect();
    let starts = body.map_or(Value::Null, |body| body["start_on_completion"].clone());
    format!("{method} {} {starts}", parts.join("/"))
}

/// The recorded daemon mode with shorter waits.
pub(crate) fn hastened(mode: &str) -> DaemonMode {
    match mode.parse().unwrap() {
        DaemonMode::Hang { wait, method } => DaemonMode::Hang {
            wait: wait / HASTE,
            method,
        },
        DaemonMode::Slow { wait, method } => DaemonMode::Slow {
            wait: wait / HASTE,
            method,
        },
        other => other,
    }
}

/// What remains of the limit must fall as it did: the distance stays the same within a case and owner.
fn limit_difference(
    exchange: &Exchange,
    ours: &Answer,
    offsets: &mut HashMap<bool, i64>,
) -> Option<String> {
    let (theirs, ours) = (exchange.response.remaining()?, ours.remaining()?);
    let key = exchange.request.headers.get("Authorization")?;
    let plain = key.contains(PLAIN) || key.contains(PLAIN_ACCOUNT);
    let offset = *offsets.entry(plain).or_insert(theirs - ours);
    (theirs - ours != offset).then(|| {
        format!("remaining {theirs} is {ours} here, though the distance was {offset} before")
    })
}

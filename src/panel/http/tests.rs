//! The client against a scripted panel: what it sends, and what it makes of answers,
//! silence and half answers.

use std::{
    sync::{
        Mutex,
        atomic::{AtomicUsize, Ordering},
    },
    time::Instant,
};

use async_trait::async_trait;
use secrecy::SecretString;
use serde_json::json;

use self::stand_in::{Received, Script, StandIn};
use super::*;
use crate::panel::{
    Build, Details, Features, KeySource, Limits, NewServer, NewUser, Panel, RateSeen, Trouble,
};

mod answers;
mod faults;
mod log;
mod requests;
mod stand_in;

const HTML: &str = "<html>Bad Gateway</html>";

/// A budget that notes what it is asked and told.
#[derive(Default)]
struct Noted {
    refuse: Option<Duration>,
    takes: Mutex<Vec<Class>>,
    seen: Mutex<Vec<RateSeen>>,
}

#[async_trait]
impl Budget for Noted {
    async fn take(&self, class: Class) -> Result<(), Duration> {
        self.takes.lock().unwrap().push(class);
        self.refuse.map_or(Ok(()), Err)
    }

    async fn observe(&self, seen: RateSeen) {
        self.seen.lock().unwrap().push(seen);
    }
}

fn key() -> KeySource {
    Arc::new(|| SecretString::from("ptla_geheim"))
}

/// By when a create is to begin: later than any test ends.
fn in_time() -> Instant {
    Instant::now() + Duration::from_secs(600)
}

fn settings(stand_in: &StandIn) -> Settings {
    Settings::new(
        format!("http://{}", stand_in.address).parse().unwrap(),
        key(),
    )
}

/// Short enough to wait for, long enough for a busy machine to connect.
fn hasty(stand_in: &StandIn) -> Settings {
    let short = Duration::from_secs(1);
    let settings = settings(stand_in);
    Settings {
        read_timeout: short,
        node_timeout: short,
        create_timeout: short,
        ..settings
    }
}

fn client_with(settings: Settings, budget: &Arc<Noted>) -> HttpPanel {
    let _ = rustls::crypto::ring::default_provider().install_default();
    let budget: Arc<Noted> = Arc::clone(budget);
    HttpPanel::new(settings, budget).unwrap()
}

fn client(settings: Settings) -> HttpPanel {
    client_with(settings, &Arc::default())
}

/// An answer that the panel charged.
fn charged(status: u16, body: impl ToString) -> Script {
    let headers = vec![
        ("X-RateLimit-Limit", "240".to_owned()),
        ("X-RateLimit-Remaining", "17".to_owned()),
        ("Content-Type", "application/json".to_owned()),
    ];
    Script::Answer(status, headers, body.to_string())
}

fn error(status: u16, code: &str) -> Script {
    let body = json!({"errors": [{"code": code, "status": status.to_string(), "detail": "no"}]});
    charged(status, body)
}

fn user(id: i64, external_id: Option<&str>, email: &str) -> serde_json::Value {
    json!({"object": "user", "attributes": {"id": id, "external_id": external_id, "uuid": "u",
        "username": "sp", "email": email, "first_name": null, "last_name": "B", "language": "en",
        "root_admin": false, "2fa": false}})
}

fn server(id: i64, external_id: &str) -> serde_json::Value {
    json!({"object": "server", "attributes": {"id": id, "external_id": external_id, "uuid": "u",
        "identifier": "i", "name": "n", "status": "installing",
        "limits": {"memory": 1, "swap": 0, "disk": 2, "io": 500, "cpu": 100},
        "feature_limits": {"databases": 0, "allocations": 0, "backups": 0},
        "user": 3, "node": 1, "allocation": 11, "egg": 4,
        "container": {"environment": {"TOKEN": "geheim", "STARTUP": "run"}}}})
}

fn list(rows: &[serde_json::Value], page: u32, pages: u32) -> serde_json::Value {
    json!({"object": "list", "data": rows, "meta": {"pagination": {
        "total": 9, "count": rows.len(), "per_page": 100, "current_page": page,
        "total_pages": pages, "links": {}}}})
}

/// The page that a request asks for.
fn page_of(request: &Received) -> u32 {
    let (_, query) = request.target.split_once('?').unwrap();
    let page = query.split('&').find_map(|part| part.strip_prefix("page="));
    page.unwrap().parse().unwrap()
}

fn new_user() -> NewUser {
    NewUser {
        external_id: "u-1".into(),
        username: "sp1".into(),
        email: "person@x.test".into(),
        first_name: "A".into(),
        last_name: "B".into(),
    }
}

/// Some create.
pub(in crate::panel) fn new_server() -> NewServer {
    NewServer {
        external_id: "o-1".into(),
        name: "n".into(),
        user: 3,
        egg: 4,
        docker_image: "img".into(),
        startup: "run".into(),
        environment: [("TOKEN".to_owned(), "geheim".to_owned())].into(),
        limits: Limits {
            memory: 1,
            swap: 0,
            disk: 2,
            io: 500,
            cpu: 100,
        },
        features: Features {
            databases: 0,
            allocations: 0,
            backups: 0,
        },
        allocation: 11,
        additional: vec![12],
        oom_disabled: false,
    }
}

/// Limits for the server that [`server`] shows.
fn build() -> Build {
    Build {
        allocation: 11,
        limits: Limits {
            memory: 2048,
            swap: -1,
            disk: 4096,
            io: 500,
            cpu: 200,
        },
        features: Features {
            databases: 1,
            allocations: 2,
            backups: 3,
        },
    }
}

/// Another name for the server that [`server`] shows.
fn details() -> Details {
    Details {
        name: "renamed".into(),
        user: 3,
        external_id: "o-1".into(),
        description: String::new(),
    }
}

fn not_done(trouble: Trouble) -> Error {
    Error::NotDone { trouble }
}

fn unknown(trouble: Trouble) -> Error {
    Error::Unknown { trouble }
}

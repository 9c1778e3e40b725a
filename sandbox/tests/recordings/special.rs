//! Cases in which requests overlap, a client gives up, or most requests were left out of the file.

use std::time::{Duration, Instant};

use serde_json::{Value, json};

use super::case::{Case, Exchange};
use super::client::{Answer, Message, begin, send};
use super::replay::{Stage, is_race};

const PATIENCE: Duration = Duration::from_secs(10);
/// How many requests the recorder sent at once.
const AT_ONCE: usize = 4;

/// Plays a case that cannot be played one request after another.
pub(crate) async fn play(stage: &Stage, case: &Case) -> Option<Vec<String>> {
    Some(match case.name.as_str() {
        "servers-create-client-gives-up" | "servers-create-client-gives-up-then-success" => {
            client_gives_up(stage, case).await
        }
        "servers-create-repeat-while-first-in-flight" => {
            overlapping(stage, case, 1, "/servers/external/ord_g3", "installing").await
        }
        "servers-suspend-daemon-timeout" => {
            overlapping(stage, case, 1, "/servers/1", "suspended").await
        }
        "rate-limit-429" => rate_limit(stage, case).await,
        _ if is_race(case) => race(stage, case).await,
        _ => return None,
    })
}

/// Polls until a look-up has this status and state.
async fn wait_for(stage: &Stage, path: &str, status: u16, state: Option<&str>) {
    let message = Message {
        method: "GET".to_owned(),
        target: format!("/api/application{path}"),
        headers: vec![
            ("Accept".to_owned(), "application/json".to_owned()),
            (
                "Authorization".to_owned(),
                format!("Bearer {}", stage.panel.key()),
            ),
        ],
        body: None,
    };
    let deadline = Instant::now() + PATIENCE;
    loop {
        let answer = send(stage.panel.addr(), &message).await;
        let body = answer.json().unwrap_or_default();
        let fits = state.is_none_or(|state| body["attributes"]["status"] == state);
        if answer.status == status && fits {
            return;
        }
        assert!(
            Instant::now() < deadline,
            "{path} never was {status} {state:?}"
        );
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
}

fn numbered(index: usize, differences: Vec<String>) -> impl Iterator<Item = String> {
    differences
        .into_iter()
        .map(move |one| format!("exchange {index}: {one}"))
}

/// The request with this index runs while the earlier ones are made; its effect shows at a path.
async fn overlapping(
    stage: &Stage,
    case: &Case,
    slow: usize,
    path: &str,
    state: &str,
) -> Vec<String> {
    let exchanges = &case.exchanges;
    let message = stage.message(case, &exchanges[slow].request);
    let addr = stage.panel.addr();
    let running = tokio::spawn(async move { send(addr, &message).await });
    wait_for(stage, path, 200, Some(state)).await;
    let mut found = Vec::new();
    for (index, exchange) in exchanges.iter().enumerate().take(slow) {
        let ours = stage.perform(case, exchange).await;
        found.extend(numbered(index, stage.compare(exchange, &ours)));
    }
    let ours = running.await.unwrap();
    found.extend(numbered(slow, stage.compare(&exchanges[slow], &ours)));
    for (index, exchange) in exchanges.iter().enumerate().skip(slow + 1) {
        let ours = stage.perform(case, exchange).await;
        found.extend(numbered(index, stage.compare(exchange, &ours)));
    }
    found
}

/// The recorded ids and counters tell of a first attempt at this create that is not in the file.
pub(crate) async fn unrecorded_attempt(stage: &Stage, case: &Case) {
    if case.name == "servers-create-client-gives-up" {
        let answer = send(
            stage.panel.addr(),
            &unrecorded_create(stage, case, "ord_g", 47),
        )
        .await;
        assert_eq!(answer.codes(), ["DaemonConnectionException"]);
    }
}

/// A create that is not in the file either; only what others saw of it is.
fn unrecorded_create(stage: &Stage, case: &Case, external_id: &str, port: i64) -> Message {
    let body = json!({
        "external_id": external_id, "name": format!("srv {external_id}"), "user": 3, "egg": 4,
        "docker_image": "ghcr.io/pterodactyl/yolks:java_21",
        "startup": "java -Xms128M -jar {{SERVER_JARFILE}}",
        "environment": { "SERVER_JARFILE": "server.jar", "VANILLA_VERSION": "latest" },
        "limits": { "memory": 1024, "swap": 0, "disk": 2048, "io": 500, "cpu": 100 },
        "feature_limits": { "databases": 0, "allocations": 1, "backups": 0 },
        "allocation": { "default": port },
    });
    let mut request = case.exchanges[0].request.clone().with_body(body);
    "POST".clone_into(&mut request.method);
    "/api/application/servers".clone_into(&mut request.path);
    request
        .headers
        .insert("Content-Type".to_owned(), "application/json".to_owned());
    stage.message(case, &request)
}

async fn client_gives_up(stage: &Stage, case: &Case) -> Vec<String> {
    let succeeds = case.name.ends_with("success");
    let (external_id, port) = if succeeds {
        ("ord_g2", 48)
    } else {
        ("ord_g", 47)
    };
    let path = format!("/servers/external/{external_id}");
    let message = unrecorded_create(stage, case, external_id, port);
    let connection = begin(stage.panel.addr(), &message).await;
    wait_for(stage, &path, 200, Some("installing")).await;
    drop(connection);
    let mut found = Vec::new();
    let last = case.exchanges.len() - 1;
    for (index, exchange) in case.exchanges.iter().enumerate() {
        if index == last {
            // Over is the create once its own status is in the log, though nobody heard it.
            wait_until_over(stage, external_id).await;
        }
        let ours = stage.perform(case, exchange).await;
        found.extend(numbered(index, stage.compare(exchange, &ours)));
    }
    found
}

async fn wait_until_over(stage: &Stage, external_id: &str) {
    let deadline = Instant::now() + PATIENCE;
    let of_create = |method: &str, id: Option<&str>| method == "POST" && id == Some(external_id);
    loop {
        let calls = stage.panel.calls();
        let mut creates = calls
            .iter()
            .filter(|call| of_create(&call.method, call.external_id.as_deref()));
        if creates.all(|call| call.status.is_some()) {
            return;
        }
        assert!(
            Instant::now() < deadline,
            "the create of {external_id} never ended"
        );
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
}

/// Only some of the 251 requests are in the file; the rest is made up until the count is the same.
async fn rate_limit(stage: &Stage, case: &Case) -> Vec<String> {
    let mut found = Vec::new();
    let mut remaining = 240;
    let last = case.exchanges.len() - 1;
    for (index, exchange) in case.exchanges.iter().enumerate() {
        if index == last {
            stage.panel.advance(Duration::from_secs(60));
        } else if let Some(recorded) = exchange.response.remaining() {
            while remaining > recorded + 1 {
                let filler = stage.perform(case, &case.exchanges[0]).await;
                remaining = filler.remaining().unwrap();
            }
        }
        let ours = stage.perform(case, exchange).await;
        found.extend(numbered(index, stage.compare(exchange, &ours)));
        if let Some(counted) = ours.remaining() {
            remaining = counted;
            if exchange.response.remaining() != Some(counted) {
                found.push(format!("exchange {index}: {counted} remain here"));
            }
        }
    }
    found
}

/// Requests at once: who wins is chance, how often someone wins and what losers hear is not.
async fn race(stage: &Stage, case: &Case) -> Vec<String> {
    let mut found = Vec::new();
    for group in case.exchanges.chunks(AT_ONCE) {
        let asked = stage.panel.daemon_calls().len();
        let answers = at_once(stage, case, group).await;
        let asked = stage.panel.daemon_calls().len() - asked;
        found.extend(verdict(case, &answers, asked));
        if case.name == "race-additional-allocation" {
            found.extend(stolen(stage, &group[0], &answers));
        }
    }
    found
}

async fn at_once(stage: &Stage, case: &Case, group: &[Exchange]) -> Vec<Answer> {
    let addr = stage.panel.addr();
    let running: Vec<_> = group
        .iter()
        .map(|exchange| stage.message(case, &exchange.request))
        .map(|message| tokio::spawn(async move { send(addr, &message).await }))
        .collect();
    let mut answers = Vec::new();
    for one in running {
        answers.push(one.await.unwrap());
    }
    answers
}

fn verdict(case: &Case, answers: &[Answer], asked: usize) -> Vec<String> {
    let won = answers.iter().filter(|answer| answer.status < 300).count();
    let allowed = |answer: &Answer| match (case.name.as_str(), answer.status) {
        ("race-suspend", 204) | ("race-delete", 204 | 404) => true,
        ("race-suspend" | "race-delete", _) => false,
        (_, 201) => true,
        (_, 422) => answer
            .codes()
            .iter()
            .all(|code| code == "ValidationException"),
        (_, 500) => answer
            .codes()
            .iter()
            .all(|code| code == "QueryException" || code == "DataValidationException"),
        _ => false,
    };
    let told = match case.name.as_str() {
        "race-suspend" => asked == 1 && won == AT_ONCE,
        "race-same-user" => asked == 0 && won == 1,
        "race-additional-allocation" | "race-delete" => asked == won && won >= 1,
        _ => asked == 1 && won == 1,
    };
    let mut found = Vec::new();
    if !told {
        found.push(format!("{won} won and the daemon was asked {asked} times"));
    }
    let odd = answers.iter().filter(|answer| !allowed(answer));
    found.extend(odd.map(|answer| format!("a loser got {} {}", answer.status, answer.body)));
    found
}

/// The shared port ends up under one of those who got a 201.
fn stolen(stage: &Stage, first: &Exchange, answers: &[Answer]) -> Option<String> {
    let sent = first.request.json().unwrap();
    let port = sent["allocation"]["additional"][0].as_i64().unwrap();
    let winners: Vec<Value> = answers
        .iter()
        .filter(|answer| answer.status == 201)
        .filter_map(|answer| Some(answer.json()?["attributes"]["id"].clone()))
        .collect();
    let rows = stage.panel.servers();
    let owner = rows
        .iter()
        .find(|row| row.allocations.contains(&port))
        .map(|row| row.id);
    let owned = owner.is_some_and(|owner| winners.contains(&json!(owner)));
    (!owned).then(|| format!("port {port} is under {owner:?}, created were {winners:?}"))
}

//! The control calls under `/_sandbox/`: JSON, without a key, for people and for other languages.

use axum::Router;
use axum::body::Bytes;
use axum::extract::{Json, Path, State};
use axum::response::{IntoResponse, Response};
use axum::routing::{any, get, post};
use http::{Method, StatusCode, Uri};
use serde::{Deserialize, Serialize};
use serde_json::json;
use std::time::Duration;

use super::controls::Controls;
use super::errors::Refusal;
use super::prices::PriceSpec;
use super::sessions::complete::PayMode;
use super::subscriptions::SubscriptionStatus;
use super::subscriptions::lag::SubscriptionLag;
use super::webhooks::{ReleaseOrder, Rendering};
use super::world::App;
use crate::faults;

mod money;

/// All control calls.
pub(super) fn router() -> Router<App> {
    Router::new()
        .route(
            "/calls",
            get(async |State(app): At| done(app.controls().calls())),
        )
        .route(
            "/events",
            get(async |State(app): At| done(app.controls().events())),
        )
        .route(
            "/sessions",
            get(async |State(app): At| done(app.controls().sessions())),
        )
        .route(
            "/subscriptions",
            get(async |State(app): At| done(app.controls().subscriptions())),
        )
        .route(
            "/deliveries",
            get(async |State(app): At| done(app.controls().deliveries())),
        )
        .route("/clock", get(clock).post(move_clock))
        .route("/faults", any(fault))
        .route("/faults/{*rest}", any(fault))
        .route("/prices", post(add_price))
        .route("/sessions/{id}/pay", post(pay))
        .route("/sessions/{id}/settle", post(settle))
        .route("/sessions/{id}/expire", post(expire))
        .route("/sessions/{id}/promotion", post(promotion))
        .route("/subscriptions/{id}/cancel", post(cancel))
        .route(
            "/subscriptions/{id}/cancel_at_period_end",
            post(cancel_at_period_end),
        )
        .route("/subscriptions/{id}/card_declines", post(card_declines))
        .route(
            "/subscriptions/{id}/pause_collection",
            post(pause_collection),
        )
        .route("/subscriptions/{id}/fail_payment", post(fail_payment))
        .route("/subscriptions/{id}/require_action", post(require_action))
        .route(
            "/subscriptions/{id}/pay_pending_update",
            post(pay_pending_update),
        )
        .route("/subscriptions/{id}/status", post(set_status))
        .route("/subscriptions/lag", get(lag).post(set_lag))
        .route("/subscriptions/reveal", post(reveal))
        .route("/webhooks", get(webhooks).post(set_webhooks))
        .route("/webhooks/roll", post(roll))
        .route("/webhooks/release", post(release))
        .route("/webhooks/retry", post(retry))
        .route("/events/{id}/deliver", post(deliver))
        .merge(money::router())
}

type At = State<App>;

impl App {
    fn controls(&self) -> Controls {
        Controls { app: self.clone() }
    }
}

fn done(value: impl Serialize) -> Response {
    Json(value).into_response()
}

fn result(value: Result<impl Serialize, Refusal>) -> Response {
    match value {
        Ok(value) => done(value),
        Err(refusal) => {
            let status = StatusCode::from_u16(refusal.status).unwrap_or(StatusCode::BAD_REQUEST);
            (status, Json(json!({ "error": refusal.message }))).into_response()
        }
    }
}

async fn clock(State(app): At) -> Response {
    done(json!({ "now": app.controls().now() }))
}

#[derive(Deserialize)]
#[serde(rename_all = "snake_case")]
enum ClockMove {
    AdvanceSeconds(u64),
    SetUnix(i64),
}

async fn move_clock(State(app): At, Json(wanted): Json<ClockMove>) -> Response {
    let controls = app.controls();
    let moved = match wanted {
        ClockMove::AdvanceSeconds(seconds) => {
            controls.advance(Duration::from_secs(seconds));
            Ok(())
        }
        ClockMove::SetUnix(second) => controls.set_unix(second),
    };
    result(moved.map(|()| json!({ "now": controls.now() })))
}

async fn fault(State(app): At, method: Method, uri: Uri, body: Bytes) -> Response {
    let path = uri.path().trim_end_matches('/');
    let rest = path.rsplit_once("faults").map_or("", |(_, rest)| rest);
    let rest: Vec<&str> = rest.split('/').filter(|part| !part.is_empty()).collect();
    let mut world = app.world();
    match faults::control(&mut world.faults, method.as_str(), &rest, &body) {
        Some(Ok(value)) => done(value),
        Some(Err(error)) => {
            (StatusCode::BAD_REQUEST, Json(json!({ "error": error }))).into_response()
        }
        None => StatusCode::NOT_FOUND.into_response(),
    }
}

async fn add_price(State(app): At, Json(spec): Json<PriceSpec>) -> Response {
    app.controls().add_price(spec.clone());
    done(spec)
}

#[derive(Deserialize)]
struct Pay {
    mode: PayMode,
}

async fn pay(State(app): At, Path(id): Path<String>, Json(body): Json<Pay>) -> Response {
    result(app.controls().pay(&id, body.mode))
}

#[derive(Deserialize)]
struct Settle {
    ok: bool,
}

async fn settle(State(app): At, Path(id): Path<String>, Json(body): Json<Settle>) -> Response {
    result(app.controls().settle(&id, body.ok))
}

async fn expire(State(app): At, Path(id): Path<String>) -> Response {
    result(app.controls().expire(&id))
}

#[derive(Deserialize)]
struct Code {
    code: String,
}

async fn promotion(State(app): At, Path(id): Path<String>, Json(body): Json<Code>) -> Response {
    result(app.controls().apply_promotion(&id, &body.code))
}

async fn cancel(State(app): At, Path(id): Path<String>) -> Response {
    result(app.controls().cancel_subscription(&id))
}

#[derive(Deserialize)]
struct Planned {
    on: bool,
}

async fn cancel_at_period_end(
    State(app): At,
    Path(id): Path<String>,
    Json(body): Json<Planned>,
) -> Response {
    result(app.controls().cancel_at_period_end(&id, body.on))
}

async fn pause_collection(
    State(app): At,
    Path(id): Path<String>,
    Json(body): Json<Planned>,
) -> Response {
    result(app.controls().pause_collection(&id, body.on))
}

#[derive(Deserialize)]
struct Card {
    declines: bool,
}

async fn card_declines(State(app): At, Path(id): Path<String>, Json(body): Json<Card>) -> Response {
    result(app.controls().set_card_declines(&id, body.declines))
}

async fn pay_pending_update(State(app): At, Path(id): Path<String>) -> Response {
    result(app.controls().pay_pending_update(&id))
}

async fn fail_payment(State(app): At, Path(id): Path<String>) -> Response {
    result(app.controls().fail_payment(&id))
}

async fn require_action(State(app): At, Path(id): Path<String>) -> Response {
    result(app.controls().require_action(&id))
}

#[derive(Deserialize)]
struct Status {
    status: SubscriptionStatus,
}

async fn set_status(State(app): At, Path(id): Path<String>, Json(body): Json<Status>) -> Response {
    result(app.controls().set_subscription_status(&id, body.status))
}

async fn webhooks(State(app): At) -> Response {
    let controls = app.controls();
    let withheld = controls.app.world().webhooks.withheld.clone();
    done(json!({
        "switches": controls.webhooks(),
        "withheld": withheld,
        "held": controls.held(),
        "counts": controls.webhook_counts(),
    }))
}

/// Only what is named changes.
#[derive(Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
struct SwitchPatch {
    enabled: Option<bool>,
    doubled: Option<bool>,
    two_signatures: Option<bool>,
    hold: Option<bool>,
    extra_fields: Option<bool>,
    sandbox_time: Option<bool>,
    late_seconds: Option<u64>,
    former_first: Option<bool>,
    rendering: Option<Rendering>,
    withheld: Option<Vec<String>>,
    endpoint: Option<EndpointSpec>,
}

#[derive(Deserialize)]
struct EndpointSpec {
    url: String,
    secret: String,
    api_version: String,
}

async fn set_webhooks(State(app): At, Json(patch): Json<SwitchPatch>) -> Response {
    let controls = app.controls();
    if let Some(spec) = patch.endpoint
        && let Err(refusal) =
            controls.set_webhook_endpoint(&spec.url, &spec.secret, &spec.api_version)
    {
        return result(Err::<(), _>(refusal));
    }
    let mut switches = controls.webhooks();
    let set = |switch: &mut bool, wanted: Option<bool>| *switch = wanted.unwrap_or(*switch);
    set(&mut switches.enabled, patch.enabled);
    set(&mut switches.doubled, patch.doubled);
    set(&mut switches.two_signatures, patch.two_signatures);
    set(&mut switches.hold, patch.hold);
    set(&mut switches.extra_fields, patch.extra_fields);
    set(&mut switches.sandbox_time, patch.sandbox_time);
    set(&mut switches.former_first, patch.former_first);
    switches.late_seconds = patch.late_seconds.unwrap_or(switches.late_seconds);
    switches.rendering = patch.rendering.unwrap_or(switches.rendering);
    if let Some(types) = patch.withheld {
        app.world().webhooks.withheld = types;
    }
    controls.set_webhooks(switches);
    done(switches)
}

#[derive(Deserialize)]
#[serde(rename_all = "snake_case")]
enum Release {
    EventIds(Vec<String>),
    Order(ReleaseOrder),
}

async fn release(State(app): At, Json(body): Json<Release>) -> Response {
    match body {
        Release::EventIds(ids) => result(app.controls().release(&ids)),
        Release::Order(order) => {
            app.controls().release_all(order);
            done(json!({}))
        }
    }
}

async fn retry(State(app): At) -> Response {
    done(json!({ "retried": app.controls().retry_failed() }))
}

#[derive(Deserialize)]
struct Form {
    api_version: String,
}

/// With a body, in the form of the version it names.
async fn deliver(State(app): At, Path(id): Path<String>, body: Bytes) -> Response {
    match serde_json::from_slice::<Form>(&body) {
        Ok(form) => result(app.controls().deliver_as(&id, &form.api_version)),
        Err(_) => result(app.controls().deliver(&id)),
    }
}

#[derive(Deserialize)]
struct Secret {
    secret: String,
}

async fn roll(State(app): At, Json(body): Json<Secret>) -> Response {
    app.controls().roll_webhook_secret(&body.secret);
    done(app.controls().webhooks())
}

async fn lag(State(app): At) -> Response {
    let world = app.world();
    done(json!({ "lag": world.lags.setting, "counts": world.lags.counts }))
}

async fn set_lag(State(app): At, Json(lag): Json<Option<SubscriptionLag>>) -> Response {
    app.controls().lag_subscriptions(lag);
    done(lag)
}

async fn reveal(State(app): At) -> Response {
    done(json!({ "revealed": app.controls().reveal_subscriptions() }))
}

//! The control calls under `/_sandbox/`: JSON, without a key, for people and for other languages.

use axum::Router;
use axum::extract::{Json, Path, State};
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use http::StatusCode;
use serde::{Deserialize, Serialize};
use serde_json::json;
use std::time::Duration;

use super::controls::Controls;
use super::errors::Refusal;
use super::faults::Fault;
use super::prices::PriceSpec;
use super::sessions::complete::PayMode;
use super::subscriptions::SubscriptionStatus;
use super::webhooks::ReleaseOrder;
use super::world::App;

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
        .route("/faults", post(inject).delete(clear_faults))
        .route("/faults/{id}", get(fired))
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
        .route("/subscriptions/{id}/fail_payment", post(fail_payment))
        .route("/subscriptions/{id}/status", post(set_status))
        .route("/webhooks", get(webhooks).post(set_webhooks))
        .route("/webhooks/release", post(release))
        .route("/webhooks/retry", post(retry))
        .route("/events/{id}/deliver", post(deliver))
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

async fn inject(State(app): At, Json(fault): Json<Fault>) -> Response {
    done(json!({ "id": app.controls().inject(fault) }))
}

async fn fired(State(app): At, Path(id): Path<u64>) -> Response {
    done(json!({ "id": id, "fired": app.controls().fired(id) }))
}

async fn clear_faults(State(app): At) -> Response {
    app.controls().clear_faults();
    done(json!({}))
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

async fn fail_payment(State(app): At, Path(id): Path<String>) -> Response {
    result(app.controls().fail_payment(&id))
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
    done(json!({ "switches": controls.webhooks(), "held": controls.held() }))
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

async fn deliver(State(app): At, Path(id): Path<String>) -> Response {
    result(app.controls().deliver(&id))
}

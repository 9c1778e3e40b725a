//! The control calls on payments, refunds and disputes.

use axum::Router;
use axum::extract::{Json, Path, State};
use axum::response::Response;
use axum::routing::{get, post};
use serde::Deserialize;
use serde_json::json;

use super::super::disputes::{DisputeOutcome, DisputedPayments};
use super::super::world::App;
use super::{At, done, result};

pub(super) fn router() -> Router<App> {
    Router::new()
        .route(
            "/refunds",
            get(async |State(app): At| done(app.controls().refunds())),
        )
        .route(
            "/disputes",
            get(async |State(app): At| done(app.controls().disputes())),
        )
        .route("/refunds/{id}/fail", post(fail_refund))
        .route("/disputes/setting", get(setting).post(set_setting))
        .route("/disputes/{id}/answer", post(answer))
        .route("/disputes/{id}/escalate", post(escalate))
        .route("/disputes/{id}/close", post(close))
        .route("/payments", post(stray))
        .route("/payments/{of}", get(payment))
        .route("/payments/{of}/dispute", post(dispute))
        .route("/payments/{of}/refund", post(refund))
}

async fn setting(State(app): At) -> Response {
    let setting = app.world().disputed_payments;
    done(json!({ "disputed_payments": setting }))
}

#[derive(Deserialize)]
struct Setting {
    disputed_payments: DisputedPayments,
}

async fn set_setting(State(app): At, Json(body): Json<Setting>) -> Response {
    app.controls().set_disputed_payments(body.disputed_payments);
    setting(State(app)).await
}

async fn answer(State(app): At, Path(id): Path<String>) -> Response {
    result(app.controls().answer_dispute(&id))
}

async fn escalate(State(app): At, Path(id): Path<String>) -> Response {
    result(app.controls().escalate_inquiry(&id))
}

#[derive(Deserialize)]
struct Outcome {
    outcome: DisputeOutcome,
}

async fn close(State(app): At, Path(id): Path<String>, Json(body): Json<Outcome>) -> Response {
    result(app.controls().close_dispute(&id, body.outcome))
}

#[derive(Deserialize)]
struct Stray {
    amount: i64,
    currency: String,
}

async fn stray(State(app): At, Json(body): Json<Stray>) -> Response {
    result(app.controls().stray_payment(body.amount, &body.currency))
}

async fn payment(State(app): At, Path(of): Path<String>) -> Response {
    result(app.controls().payment(&of))
}

/// How a dispute is opened.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Opening {
    reason: String,
    /// The whole payment, if none.
    #[serde(default)]
    amount: Option<i64>,
    /// Whether the bank only asks.
    #[serde(default)]
    inquiry: bool,
}

async fn dispute(State(app): At, Path(of): Path<String>, Json(body): Json<Opening>) -> Response {
    let controls = app.controls();
    let opened = match (body.inquiry, body.amount) {
        (true, _) => controls.open_inquiry(&of, &body.reason),
        (false, Some(amount)) => controls.open_dispute_over(&of, &body.reason, amount),
        (false, None) => controls.open_dispute(&of, &body.reason),
    };
    result(opened.map(|id| controls.dispute(&id)))
}

/// How much goes back.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Amount {
    /// All that is left, if none.
    #[serde(default)]
    amount: Option<i64>,
}

async fn fail_refund(State(app): At, Path(id): Path<String>) -> Response {
    result(app.controls().fail_refund(&id))
}

async fn refund(State(app): At, Path(of): Path<String>, Json(body): Json<Amount>) -> Response {
    result(app.controls().refund_by_hand(&of, body.amount))
}

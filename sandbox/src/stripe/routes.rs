//! Which path runs which operation.

use axum::Router;
use axum::extract::{RawPathParams, Request, State};
use axum::response::Response;
use axum::routing::{MethodFilter, MethodRouter, any, on};
use serde_json::Value;

use super::api::{self, Endpoint, Invocation};
use super::errors::Refusal;
use super::world::{App, World};
use super::{
    charges, control, customers, disputes, events, invoice_payments, invoices, page, portal,
    prices, refunds, sessions, subscriptions,
};

/// The API, the hosted page and the control calls.
pub(super) fn router(app: App) -> Router {
    const GET: MethodFilter = MethodFilter::GET;
    const POST: MethodFilter = MethodFilter::POST;
    const DELETE: MethodFilter = MethodFilter::DELETE;
    let session = "/v1/checkout/sessions/{id}";
    let sessions = "/v1/checkout/sessions";
    Router::new()
        .route("/v1/customers", call(POST, customers::create))
        .route("/v1/customers", call(GET, customers::list_all))
        .route("/v1/customers/{id}", call(GET, customers::get))
        .route("/v1/customers/{id}", call(POST, customers::update))
        .route(sessions, call(POST, sessions::create::create))
        .route(sessions, call(GET, sessions::list_all))
        .route(session, call(GET, sessions::get))
        .route(
            "/v1/checkout/sessions/{id}/expire",
            call(POST, sessions::expire),
        )
        .route(
            "/v1/checkout/sessions/{id}/line_items",
            call(GET, sessions::line_items),
        )
        .route(
            "/v1/subscriptions",
            call(GET, subscriptions::calls::list_all),
        )
        .route(
            "/v1/subscriptions/{id}",
            call(GET, subscriptions::calls::get),
        )
        .route(
            "/v1/subscriptions/{id}",
            call(POST, subscriptions::calls::update),
        )
        .route(
            "/v1/subscriptions/{id}",
            call(DELETE, subscriptions::calls::delete),
        )
        .route("/v1/invoices", call(GET, invoices::list_all))
        .route("/v1/invoices/{id}", call(GET, invoices::get))
        .route("/v1/invoices/{id}/void", call(POST, invoices::void_open))
        .route(
            "/v1/billing_portal/configurations",
            call(POST, portal::configure),
        )
        .route(
            "/v1/billing_portal/configurations",
            call(GET, portal::list_all),
        )
        .route("/v1/billing_portal/sessions", call(POST, portal::open))
        .route(
            "/v1/invoice_payments",
            call(GET, invoice_payments::list_all),
        )
        .route("/v1/charges/{id}", call(GET, charges::get))
        .route("/v1/disputes", call(GET, disputes::calls::list_all))
        .route("/v1/disputes/{id}", call(GET, disputes::calls::get))
        .route("/v1/refunds", call(POST, refunds::create))
        .route("/v1/refunds", call(GET, refunds::list_all))
        .route("/v1/refunds/{id}", call(GET, refunds::get))
        .route("/v1/prices", call(POST, prices::calls::create))
        .route("/v1/prices", call(GET, prices::calls::list_all))
        .route("/v1/prices/{id}", call(GET, prices::calls::get))
        .route("/v1/prices/{id}", call(POST, prices::calls::update))
        .route("/v1/events", call(GET, events::list_all))
        .route("/v1/events/{id}", call(GET, events::get))
        .route("/v1/{*rest}", any(unknown))
        .method_not_allowed_fallback(unknown)
        .merge(page::router())
        .nest("/_sandbox", control::router())
        .with_state(app)
}

fn call(method: MethodFilter, run: Endpoint) -> MethodRouter<App> {
    let handler = move |State(app): State<App>, path: RawPathParams, request: Request| async move {
        let id = path.iter().next().map(|(_, value)| value.to_owned());
        api::serve(app, run, id, request).await
    };
    on(method, handler)
}

/// Whatever Stripe has and this stand-in has not, or what nobody has.
async fn unknown(State(app): State<App>, request: Request) -> Response {
    let name = format!("{} {}", request.method(), request.uri().path());
    api::serve(app, no_such_operation, Some(name), request).await
}

fn no_such_operation(_: &mut World, ask: &Invocation) -> Result<Value, Refusal> {
    let (method, path) = ask.id().split_once(' ').unwrap_or_default();
    Err(Refusal::unknown_url(method, path))
}

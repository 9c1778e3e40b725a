//! The hosted payment page: what a buyer sees at a session's `url`.
//!
//! No script and nothing from elsewhere; every text that came in is escaped.

use std::collections::HashMap;

use axum::Router;
use axum::extract::{Form, Path, State};
use axum::response::{IntoResponse, Redirect, Response};
use axum::routing::{get, post};
use http::{HeaderValue, StatusCode, header};

use super::sessions::complete::{self, PayMode};
use super::sessions::{Session, SessionStatus};
use super::world::{App, World};

mod html;

/// The page and its two buttons.
pub(super) fn router() -> Router<App> {
    Router::new()
        .route("/c/pay/{id}", get(show))
        .route("/c/pay/{id}/pay", post(pay))
        .route("/c/pay/{id}/cancel", post(cancel))
}

async fn show(State(app): State<App>, Path(id): Path<String>) -> Response {
    let mut world = app.world();
    world.tick();
    page(&world, &id, StatusCode::OK, None)
}

async fn pay(
    State(app): State<App>,
    Path(id): Path<String>,
    Form(fields): Form<HashMap<String, String>>,
) -> Response {
    let mut world = app.world();
    world.tick();
    let field = |name: &str| {
        fields
            .get(name)
            .map(|text| text.trim())
            .filter(|t| !t.is_empty())
    };
    let mode = match field("mode") {
        Some("unpaid") => PayMode::Unpaid,
        _ => PayMode::Paid,
    };
    let done = submit(
        &mut world,
        &id,
        field("promotion_code"),
        field("email"),
        mode,
    );
    match (done, world.sessions.get(&id)) {
        (Ok(()), Some(session)) => Redirect::to(&complete::success_url(session)).into_response(),
        (Err(refusal), _) => {
            let status = StatusCode::from_u16(refusal.status).unwrap_or(StatusCode::BAD_REQUEST);
            page(&world, &id, status, Some(&refusal.message))
        }
        (Ok(()), None) => page(&world, &id, StatusCode::NOT_FOUND, None),
    }
}

fn submit(
    world: &mut World,
    id: &str,
    promotion_code: Option<&str>,
    email: Option<&str>,
    mode: PayMode,
) -> Result<(), super::errors::Refusal> {
    if let Some(code) = promotion_code {
        complete::apply_promotion(world, id, code)?;
    }
    if let Some(email) = email {
        super::customers::check_email(email, "email")?;
        let session = world.sessions.find_mut(id)?;
        // A known customer's address cannot be changed on the page.
        if session.customer.is_none() && session.customer_email.is_none() {
            session.buyer_email = Some(email.to_owned());
        }
    }
    complete::pay(world, id, mode)
}

async fn cancel(State(app): State<App>, Path(id): Path<String>) -> Response {
    let mut world = app.world();
    world.tick();
    let back = world
        .sessions
        .get(&id)
        .and_then(|session| session.cancel_url.as_deref());
    match back {
        // The session stays open: the buyer may come back until it expires.
        Some(url) => Redirect::to(url).into_response(),
        None => page(&world, &id, StatusCode::OK, None),
    }
}

fn page(world: &World, id: &str, status: StatusCode, problem: Option<&str>) -> Response {
    let (status, text) = match world.sessions.get(id) {
        None => (
            StatusCode::NOT_FOUND,
            html::message("This payment page does not exist."),
        ),
        Some(session) => match session.status {
            SessionStatus::Open => (status, html::checkout(session, problem)),
            SessionStatus::Complete => (status, html::message(completed(session))),
            SessionStatus::Expired => (
                status,
                html::message("This payment page has expired. Nothing was charged."),
            ),
        },
    };
    let mut response = (status, text).into_response();
    let headers = response.headers_mut();
    headers.insert(
        header::CONTENT_TYPE,
        HeaderValue::from_static("text/html; charset=utf-8"),
    );
    headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
    headers.insert(
        header::CONTENT_SECURITY_POLICY,
        HeaderValue::from_static("default-src 'none'; style-src 'unsafe-inline'"),
    );
    response
}

fn completed(session: &Session) -> &'static str {
    match session.payment_status {
        super::sessions::PaymentStatus::Unpaid => "This payment is complete and being processed.",
        _ => "This payment is complete.",
    }
}

//! What goes over the wire in the place of a good answer.

use std::future::ready;

use axum::body::{Body, Bytes};
use axum::response::Response;
use futures_util::{StreamExt, stream};

use super::FaultAction;
use crate::serving::{Drip, Reply};

/// Neither JSON nor UTF-8.
const GARBAGE: &[u8] = b"\x00\xff\xfe{\"object\":\"server\",\"attributes\":";

/// The answer that takes the place of the real one; none where the connection just closes or the
/// real answer is needed. `own` gives the refusals that each service words itself.
pub(crate) fn instead(
    action: &FaultAction,
    own: impl FnOnce(&FaultAction) -> Reply,
) -> Option<Reply> {
    Some(match action {
        FaultAction::Status {
            status,
            body,
            content_type,
            headers,
        } => {
            let content_type = content_type.as_deref().unwrap_or("application/json");
            let mut reply = Reply::new(*status, content_type, body.clone());
            reply.headers.extend(headers.iter().cloned());
            reply
        }
        FaultAction::RateLimited { .. }
        | FaultAction::LockTimeout { .. }
        | FaultAction::Conflict
        | FaultAction::InternalError => own(action),
        FaultAction::Garbage => Reply::new(200, "application/json", GARBAGE),
        FaultAction::HtmlPage { status } => Reply::new(
            *status,
            "text/html",
            format!("<html><head><title>{status}</title></head><body>{status}</body></html>"),
        ),
        FaultAction::Redirect { location } => {
            let mut reply = Reply::new(302, "text/html", "");
            reply.push("Location", location);
            reply
        }
        _ => return None,
    })
}

/// Announces the whole body, sends half of it, closes the connection.
pub(crate) fn truncated(mut reply: Reply) -> Response {
    reply.push("Content-Length", reply.body.len().to_string());
    let mut half = std::mem::take(&mut reply.body);
    half.truncate(half.len() / 2);
    let cut = async {
        // Giving way once lets the server flush what it has before the cut.
        tokio::task::yield_now().await;
        Err(std::io::Error::from(std::io::ErrorKind::ConnectionReset))
    };
    let parts = stream::once(ready(Ok(Bytes::from(half)))).chain(stream::once(cut));
    reply.with_body(Body::from_stream(parts))
}

/// The whole answer, in drops.
pub(crate) fn dripping(reply: Reply, drip: Drip) -> Response {
    let mut response = reply.into_response();
    response.extensions_mut().insert(drip);
    response
}
